"""ZeroGPU's rules that the source itself keeps or breaks: read from it, so that code no test runs keeps them too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text())
    for folder in ("backends", "components", "core", "pages")
    for path in sorted((ROOT / folder).rglob("*.py"))
} | {"app.py": ast.parse((ROOT / "app.py").read_text())}
# Graphs and compiled code do not cross into a forked worker; AoTI is ZeroGPU's own way, which this app does not use.
COMPILING = {"compile_repeated_blocks", "make_graphed_callables", "CUDAGraph", "script", "trace"}


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def decorations(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.expr]]:
    """Every function in a module that is decorated with spaces.GPU, with the decorator."""
    for node in ast.walk(tree):
        for decorator in getattr(node, "decorator_list", ()):
            bare = decorator.func if isinstance(decorator, ast.Call) else decorator
            if ast.unparse(bare) in ("spaces.GPU", "GPU"):
                yield node, decorator


def decorated() -> list[tuple[str, ast.AST, ast.expr]]:
    return [(name, node, by) for name, tree in SOURCES.items() for node, by in decorations(tree)]


def test_spaces_is_imported_before_anything_that_could_touch_cuda() -> None:
    order = []
    for node in ast.walk(SOURCES["app.py"]):
        if isinstance(node, ast.Import):
            order += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            order.append((node.lineno, str(node.module)))
    names = [name for _, name in sorted(order)]
    before = names[: names.index("spaces")]
    # `core` is the standard library's alone (tests/unit/test_layers.py).
    assert not [name for name in before if name.startswith(("gradio", "torch", "backends", "pages", "components"))]


def test_the_gpu_is_used_in_plain_functions_of_modules_with_a_computed_duration() -> None:
    found = decorated()
    assert {name for name, _, _ in found} == {"backends/chat/zerogpu.py", "backends/image/zerogpu.py"}
    for name, node, by in found:
        assert node in SOURCES[name].body, f"{name}:{node.lineno} is not at module level"
        assert isinstance(node, ast.FunctionDef), f"{name}: {node.name} is a coroutine"
        assert isinstance(by, ast.Call), f"{name}: {node.name} asks for the default duration"
        given = {keyword.arg: keyword.value for keyword in by.keywords}
        assert isinstance(given.get("duration"), ast.Name), f"{name}: {node.name} asks for a fixed duration"


def test_calls_to_the_gpu_come_in_the_visitors_name() -> None:
    """A thread made by hand loses the visitor whose quota it is; `in_visitors_name` keeps them. A worker has no visitor."""
    for name, worker, _ in decorated():
        assert isinstance(worker, ast.FunctionDef)
        inside = set(ast.walk(worker))
        calls = {
            called(node).rpartition(".")[2]
            for node in ast.walk(SOURCES[name])
            if isinstance(node, ast.Call) and node not in inside
        }
        assert not calls & {"Thread", "ThreadPoolExecutor", "Process"}, name
        assert "in_visitors_name" in calls


def test_nothing_is_compiled() -> None:
    for name, tree in SOURCES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                call = called(node)
                assert call != "torch.compile" and not (
                    call.startswith(("torch.jit.", "torch.cuda.")) and call.rpartition(".")[2] in COMPILING
                ), f"{name}:{node.lineno}"
                assert call.rpartition(".")[2] != "compile_repeated_blocks", f"{name}:{node.lineno}"


def test_the_queue_is_longer_than_one() -> None:
    """Without a size gradio gives a page on ZeroGPU a queue of one: the second visitor would be turned away."""
    queues = [
        {keyword.arg for keyword in node.keywords}
        for node in ast.walk(SOURCES["app.py"])
        if isinstance(node, ast.Call) and called(node).endswith(".queue")
    ]
    assert queues and all("max_size" in given for given in queues)


@pytest.mark.parametrize(
    "source",
    [
        "class A:\n @spaces.GPU(duration=f)\n def g(self): ...",
        "@spaces.GPU\nasync def g(): ...",
        "def f():\n @GPU(duration=5)\n def g(): ...",
    ],
)
def test_these_rules_see_what_breaks_them(source: str) -> None:
    ((node, _),) = decorations(ast.parse(source))
    assert node.name == "g"
