"""One lock for everything that imports a model library or loads a model in this process."""

from __future__ import annotations

import threading

# While diffusers builds a model it has `torch.nn.Module.register_parameter` replaced for the whole process (accelerate's
# `init_empty_weights`). A model built meanwhile in another thread loses its weights, and two such loads that overlap
# put each other's replacement back: from then on every new model of the process is empty. Importing a library in two
# threads at once meets half-made modules. So: one at a time. Reentrant, because a load imports.
LOADING = threading.RLock()
