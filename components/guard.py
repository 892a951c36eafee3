"""One check before every event handler, whoever calls it: the page, the API or an MCP tool."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from components.access import Access
from components.asgi import in_thread
from components.errors import shown_to_user
from components.gate import account_in
from core.audit import detail_of
from core.caller import called_by
from core.errors import AppError, NotAllowed, UserInputError
from core.roles import OPEN, Account, Role, refusal


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call a handler. `action` is what the audit log says of it ("" is nothing), `about` which inputs it names.

    `rater` is the input in which a program may say who rated, -1 for none.
    """

    role: Role
    action: str = ""
    about: tuple[int, ...] = ()
    rater: int = -1


class Undeclared(RuntimeError):
    """A handler without a role: the app does not start with one."""


def handler_name(handler: Callable[..., Any]) -> str:
    """What a handler is called in the table of roles: `Page.method`, for a lambda where it is written."""
    return getattr(handler, "__qualname__", type(handler).__qualname__)


def undeclared(demo: gr.Blocks, rules: Mapping[str, Rule]) -> list[str]:
    """The handlers of `demo` that have no role."""
    names = {handler_name(event.fn) for event in demo.fns.values() if event.fn is not None}
    return sorted(names - set(rules))


def guard(demo: gr.Blocks, rules: Mapping[str, Rule], access: Access, visitor: gr.BrowserState) -> None:
    """Put the check in front of every handler of `demo`; raises `Undeclared` when one has no role.

    gradio runs every event through `Blocks.process_api`: from the queue, from a direct call, and from an MCP tool. There the
    inputs are still what was sent and the handler's signature, which decides what gradio injects, is untouched.
    """
    missing = undeclared(demo, rules)
    if missing:
        raise Undeclared(f"No role is declared for {', '.join(missing)}. Name it in pages/roles.py.")
    _Guard(demo, rules, access, visitor)


class _Guard:
    def __init__(self, demo: gr.Blocks, rules: Mapping[str, Rule], access: Access, visitor: gr.BrowserState) -> None:
        self._rules, self._access, self._visitor = rules, access, visitor
        self._inner, self._push = demo.process_api, demo._queue.push
        self._signature = inspect.signature(demo.process_api)
        self._queue = demo._queue
        demo.process_api = self.process_api
        demo._queue.push = self.push

    def account(self, request: Any) -> Account:
        """Whose event it is. One that did not come through the gate is nobody's, unless everybody may everything."""
        found = account_in(request[0] if isinstance(request, list) and request else request)
        return found or (OPEN if self._access.open else Account(Role.NOBODY))

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """As gradio's own; `gr.Error` when the caller may not."""
        call = self._signature.bind(*args, **kwargs).arguments
        event = call["block_fn"]
        if event.fn is None:
            return await self._inner(**call)
        rule = self._rules.get(handler_name(event.fn), Rule(Role.ADMIN))
        account = self.account(call.get("request"))
        # A stream comes by here for each of its updates, and has been checked at its first.
        first = call.get("iterator") is None
        detail = ""
        if first:
            with shown_to_user():
                detail = self._told(event, rule, call) if rule.action else ""
                try:
                    self._check(account, rule)
                except NotAllowed:
                    await self._write_down(account, rule.action, detail, "refused")
                    raise
                self._access.usage.spend("requests", account)
                call["inputs"] = self._as_seen(event, rule, call["inputs"], account)
        with called_by(account) as notes:
            try:
                result = await self._inner(**call)
            except Exception:
                await self._write_down(account, rule.action, detail, "failed")
                raise
            finally:
                for action, about in notes:
                    await self._write_down(account, action, detail_of((about,)))
        if not result.get("is_generating"):
            await self._write_down(account, rule.action, detail)
        return result

    async def _write_down(self, account: Account, action: str, detail: str, outcome: str = "done") -> None:
        """Away from the event loop: the log is on disk when it returns, and where there is a journal in a bucket too."""
        if action:
            await in_thread(self._access.write_down, account, action, detail, outcome)

    async def push(self, body: Any, request: Any, username: Any) -> Any:
        """As the queue's own, for as many events as one visitor may have waiting."""
        account = self.account(request)
        if not self._access.open:
            waiting = [
                self.account(event.request).key
                for queue in self._queue.event_queue_per_concurrency_id.values()
                for event in queue.queue
            ]
            try:
                self._access.usage.check_queue(waiting, account)
            except AppError as error:
                return False, str(error), "error"
        return await self._push(body=body, request=request, username=username)

    def _check(self, account: Account, rule: Rule) -> None:
        if account.role < rule.role:
            raise NotAllowed(refusal(rule.role, account, can_sign_in=self._access.can_sign_in))

    def _as_seen(self, event: Any, rule: Rule, inputs: Sequence[Any], account: Account) -> list[Any]:
        """The inputs with what a caller could only claim put right: which visitor it is, and who rated."""
        seen = [
            self._access.visitor(account, str(value or "")) if block is self._visitor else value
            for block, value in zip(event.inputs, inputs, strict=False)
        ]
        if rule.rater >= 0 and not self._access.open and rule.rater < len(seen):
            mine, said = self._access.rater(account), seen[rule.rater]
            if said and said != mine:
                who = f"you are {mine}" if mine else "yours has no name, as you have not signed in"
                raise UserInputError(
                    f"rater counts only where nobody signs in. Here a row stands under its caller; {who}. Leave rater out."
                )
            seen[rule.rater] = mine
        return seen

    def _told(self, event: Any, rule: Rule, call: Mapping[str, Any]) -> str:
        state, inputs = call.get("state"), call["inputs"]
        values = []
        for index in rule.about:
            if index < len(event.inputs):
                block = event.inputs[index]
                kept = state is not None and getattr(block, "stateful", False)
                values.append(
                    state[block._id] if kept and state is not None else inputs[index] if index < len(inputs) else None
                )
        return detail_of(tuple(values))
