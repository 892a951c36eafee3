"""Renders one chat template in a process of its own: run as a script, JSON in and JSON out, with an end to time and memory.

The environment is the one transformers builds (`utils/chat_template_utils.py`): jinja2's immutable sandbox with the same
filters, globals and the `generation` block. It is written out here because importing transformers takes seconds, and the
template is a stranger's: this process is started without the app's environment, so there is nothing in it to take.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

CPU_SECONDS = 2
MEMORY_BYTES = 600_000_000
MOST_CHARACTERS = 100_000


def _environment() -> Any:
    import jinja2
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what the model said; here it only passes its content on."""

        tags = {"generation"}  # noqa: RUF012  (jinja2's own name and type)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_passed_on"), [], [], body).set_lineno(line)

        def _passed_on(self, caller: Any) -> Any:
            return caller()

    class Namespace(jinja2.utils.Namespace):
        """No name that begins with an underscore, as in transformers."""

        def __init__(*args: Any, **kwargs: Any) -> None:
            self, args = args[0], args[1:]
            attributes = dict(*args, **kwargs)
            for name in attributes:
                _check_name(name)
            jinja2.utils.Namespace.__init__(self, attributes)

        def __setitem__(self, name: str, value: Any) -> None:
            _check_name(name)
            jinja2.utils.Namespace.__setitem__(self, name, value)

    def _check_name(name: object) -> None:
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace cannot hold {name!r}")

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    class Dict:
        """`dict(...)` without the type itself."""

        def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
            return dict(*args, **kwargs)

        def fromkeys(self, *args: Any) -> dict[Any, Any]:
            return dict.fromkeys(*args)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = tojson
    made.globals.update(
        raise_exception=raise_exception,
        strftime_now=lambda shape: datetime.now().strftime(shape),
        dict=Dict(),
        namespace=Namespace,
    )
    return made


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Not on Windows; the caller's own deadline still ends this process.
        return
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def main() -> None:
    """Read a request on stdin, write `{"text": …}` or `{"problem": …}` on stdout."""
    asked = json.loads(sys.stdin.buffer.read())
    made = _environment()
    _limit()
    try:
        text = made.from_string(asked["template"]).render(
            messages=asked["messages"], add_generation_prompt=True, tools=None, documents=None, **asked["special"]
        )
        answer = {"text": text[:MOST_CHARACTERS]}
    except Exception as error:  # noqa: BLE001  (whatever a stranger's template raises is what is shown)
        answer = {"problem": f"{type(error).__name__}: {str(error)[:300]}"}
    sys.stdout.buffer.write(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
