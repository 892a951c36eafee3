"""`python -m backends.bundled [DATA_DIR]`: prepare the bundled chat model with a progress bar."""

from __future__ import annotations

import sys
from pathlib import Path

from backends.bundled import folder_in, is_prepared, prepare
from core.errors import AppError


def main(arguments: list[str]) -> int:
    """Prepare the model in the data folder given (`data` when none is) and say where it is."""
    from tqdm import tqdm  # type: ignore[import-untyped]  # its stubs are a package of their own

    data_dir = Path(arguments[0] if arguments and arguments[0] else "data").expanduser().resolve()
    models_dir = data_dir / "models"
    fresh = not is_prepared(models_dir)
    try:
        with tqdm(desc="Preparing the bundled chat model", unit=" tensors", disable=not fresh) as bar:
            for step in prepare(models_dir):
                if step.stage == "prepare":
                    bar.total = step.total
                    bar.update(step.done - bar.n)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The bundled chat model is in {folder_in(data_dir)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
