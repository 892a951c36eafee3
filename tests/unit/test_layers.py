"""The dependency rule, held by walking the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAY_IMPORT = {
    "core": {"core"},
    "components": {"components", "core"},
    "pages": {"pages", "components", "core"},
    "backends": {"backends", "core"},
}
HEAVY = {
    "torch",
    "transformers",
    "diffusers",
    "datasets",
    "pandas",
    "pyarrow",
    "numpy",
    "safetensors",
    "gguf",
    "evalica",
    "krippendorff",
    "scipy",
}


def imported(path: Path) -> set[tuple[str, bool]]:
    """(top-level package, whether at module level) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    found = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path}: relative imports hide the direction of a dependency")
        found |= {(name.partition(".")[0], id(node) in top) for name in names}
    return found


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_layers_import_only_downwards(layer: str) -> None:
    ours = set(MAY_IMPORT) | {"app", "tests", "training", "benchmarks"}
    for path in (ROOT / layer).rglob("*.py"):
        wrong = {name for name, _ in imported(path)} & ours - MAY_IMPORT[layer]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_core_is_standard_library_only() -> None:
    for path in (ROOT / "core").rglob("*.py"):
        outside = {name for name, _ in imported(path)} - set(sys.stdlib_module_names) - {"core"}
        assert not outside, f"{path.relative_to(ROOT)} imports {outside}"


def test_backends_never_import_gradio() -> None:
    for path in (ROOT / "backends").rglob("*.py"):
        assert "gradio" not in {name for name, _ in imported(path)}, path


def test_pages_and_components_load_nothing_heavy() -> None:
    for layer in ("pages", "components"):
        for path in (ROOT / layer).rglob("*.py"):
            heavy = {name for name, _ in imported(path)} & HEAVY
            assert not heavy, f"{path.relative_to(ROOT)} imports {heavy}"


def test_building_the_page_imports_nothing_heavy() -> None:
    """torch in memory before the first page is on the screen costs seconds; a fresh process tells."""
    code = (
        "import sys, app\n"
        "from tests.fakes import services\n"
        "app.build(services())\n"
        f"print(sorted(set(sys.modules) & {HEAVY - {'numpy', 'pandas', 'pyarrow'}!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # numpy, pandas and with it pyarrow come with gradio itself.
    assert done.stdout.strip().splitlines()[-1] == "[]"


# A program of its own, started by the operator: the secrets it puts on a Space come from their environment by name.
PROGRAMS = {ROOT / "backends" / "deploy" / name for name in ("__main__.py", "bake.py", "container.py")}


def test_only_app_reads_the_environment() -> None:
    for layer in MAY_IMPORT:
        for path in set((ROOT / layer).rglob("*.py")) - PROGRAMS:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                reads = isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
                assert not reads, f"{path.relative_to(ROOT)}:{node.lineno} reads the environment"
