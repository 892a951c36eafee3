"""Signing in and out, the own account and the audit log: the pages that gradio does not serve, and what their forms do."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, replace

from components.access import Access
from components.asgi import Request, in_thread, redirect
from components.headers import Send
from components.own_answers import as_json, html, refuse
from components.sign_in_page import account, audit, sign_in
from core.errors import AppError
from core.limits import ATTEMPTS_SECONDS, OF_USER, wait
from core.origins import target_of
from core.roles import USER, Account, Role, refusal

OURS = ("/sign-in", "/sign-in/hub", "/login/callback", "/sign-out", "/account", "/account/key", "/account/me",
        "/account/audit", "/account/audit.json")  # fmt: skip
# What there is also where nobody has to sign in.
ALWAYS = ("/account/me", "/account/audit", "/account/audit.json")
MOST_BEGUN, MOST_BEGUN_EACH = 1000, 20
OLD_FORM = "The form was too old, or another site sent it. Open the page again, then send it."
NOT_BEGUN = "That sign-in was not begun in this browser, or took too long. Try again."
NOT_DONE = "The Hub did not sign you in. Try again, or go on without."


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in at the Hub that was begun here: what proves that the answer belongs to it, and where to go after."""

    verifier: str
    target: str
    ends: float
    address: str


class FrontDesk:
    """The pages of `OURS`, over one `Access`."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._form_key = secrets.token_bytes(32)
        self._begun: OrderedDict[str, Begun] = OrderedDict()

    async def page(self, request: Request, who: Account, ours: bool, send: Send) -> None:
        """Serve one of `OURS`. `ours` says whether the browser says that this app's page sent it."""
        path, method = request.path, request.scope["method"]
        if path == "/account/me":
            known = {
                "user": who.user,
                "role": who.role.title,
                "can_sign_in": self.access.can_sign_in and not self.access.open,
            }
            await as_json(send, known)
            return
        if method == "POST":
            form = await request.form()
            if not ours or not self._form_is_ours(request, form.get("csrf", "")):
                await refuse(self.access, request, send, 403, "Not from this page", OLD_FORM)
                return
            await self._posted(request, who, form, send)
        elif method not in ("GET", "HEAD"):
            await refuse(self.access, request, send, 405, "Not so", "This page is opened, or its form is sent.")
        elif path == "/login/callback":
            await self._back_from_hub(request, send)
        elif path == "/sign-in":
            await self._sign_in_page(request, send, target_of(request.query.get("next", "/")))
        elif path.startswith("/account/audit"):
            await self._audit(request, who, send)
        elif path == "/account" and who.user:
            await self._account_page(request, who, send)
        else:
            await redirect(send, "/sign-in")

    async def _posted(self, request: Request, who: Account, form: dict[str, str], send: Send) -> None:
        sign_in_ways = self.access.sign_in
        target = target_of(form.get("next", "/"))
        if request.path == "/sign-out":
            self.access.sessions.end(request.cookie(self.session_cookie(request)))
            await redirect(send, "/", cookies=[self._cookie(request, self.session_cookie(request), "", 0)])
        elif request.path == "/account/key" and who.user and sign_in_ways is not None:
            key = await in_thread(sign_in_ways.key_of, who)
            if key:
                await in_thread(self.access.write_down, who, "made a key")
            await self._account_page(request, who, send, key)
        elif request.path == "/sign-in/hub" and sign_in_ways is not None and sign_in_ways.hub:
            await self._to_hub(request, send, target)
        elif request.path == "/sign-in" and sign_in_ways is not None and sign_in_ways.passwords:
            await self._by_password(request, form, send, target)
        else:
            await redirect(send, "/sign-in")

    async def _by_password(self, request: Request, form: dict[str, str], send: Send, target: str) -> None:
        user, password = form.get("user", "")[:64], form.get("password", "")
        names = (request.address, OF_USER + user.lower())
        found = None
        attempts = self.access.usage.attempts
        if any(attempts.too_often(name) for name in names):
            error = f"Too many wrong passwords. Try again in {wait(ATTEMPTS_SECONDS)}."
        else:
            assert self.access.sign_in is not None
            found = await in_thread(self.access.sign_in.by_password, user, password)
            error = "That user and password do not belong together. Try again."
        if found is None:
            for name in names:
                attempts.count(name)
            named = Account(Role.NOBODY, address=request.address)
            shown = user if USER.fullmatch(user) else ""
            await in_thread(self.access.write_down, named, "signed in", shown, "refused")
            await self._sign_in_page(request, send, target, error, user, 401)
            return
        await self._begin(request, replace(found, address=request.address), send, target)

    async def _begin(self, request: Request, who: Account, send: Send, target: str) -> None:
        """A session under a new id: one that was there before may have been planted."""
        name = self.session_cookie(request)
        session = self.access.sessions.begin(who, before=request.cookie(name))
        await in_thread(self.access.write_down, who, "signed in")
        await redirect(send, target, cookies=[self._cookie(request, name, session)])

    async def _to_hub(self, request: Request, send: Send, target: str) -> None:
        assert self.access.sign_in is not None
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        # Nobody begins so often that what others have begun is forgotten.
        own = [known for known, begun in self._begun.items() if begun.address == request.address]
        for known in own[: max(0, len(own) - MOST_BEGUN_EACH + 1)]:
            del self._begun[known]
        self._begun[state] = Begun(verifier, target, time.monotonic() + 600, request.address)
        while len(self._begun) > MOST_BEGUN:
            self._begun.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        await redirect(
            send,
            self.access.sign_in.hub_address(state, challenge),
            cookies=[self._cookie(request, "proving-begun", state, 600)],
        )

    async def _back_from_hub(self, request: Request, send: Send) -> None:
        state, code = request.query.get("state", ""), request.query.get("code", "")
        begun = self._begun.pop(state, None)
        # The browser that comes back has to be the one that left: else a visitor ends up in somebody else's account.
        same = secrets.compare_digest(request.cookie("proving-begun").encode(), state.encode())
        if begun is None or not same or begun.ends < time.monotonic() or self.access.sign_in is None:
            await self._sign_in_page(request, send, "/", NOT_BEGUN, status=400)
            return
        if not code:
            await self._sign_in_page(request, send, begun.target, NOT_DONE)
            return
        try:
            who = await in_thread(self.access.sign_in.by_hub, code, begun.verifier)
        except AppError as error:
            await self._sign_in_page(request, send, begun.target, str(error), status=502)
            return
        await self._begin(request, replace(who, address=request.address), send, begun.target)

    async def _sign_in_page(
        self, request: Request, send: Send, target: str, error: str = "", user: str = "", status: int = 200
    ) -> None:
        ways = self.access.sign_in
        csrf, cookies = self._form_token(request)
        text = sign_in(
            csrf=csrf, target=target, passwords=bool(ways and ways.passwords), hub=ways.hub if ways else "",
            anonymous=ways.grants.anonymous if ways else Role.VISITOR, error=error, user=user,
        )  # fmt: skip
        await html(self.access, send, status, text, cookies)

    async def _account_page(self, request: Request, who: Account, send: Send, key: str = "") -> None:
        csrf, cookies = self._form_token(request)
        scheme = "https" if self._secure(request) else "http"
        text = account(
            who, csrf=csrf, can_have_key=who.how == "password", key=key, address=f"{scheme}://{request.header('host')}/"
        )
        await html(self.access, send, 200, text, cookies)

    async def _audit(self, request: Request, who: Account, send: Send) -> None:
        log = self.access.audit
        if who.role < Role.ADMIN or log is None:
            await refuse(
                self.access, request, send, 403, "Not for you", refusal(Role.ADMIN, who, can_sign_in=not who.user)
            )
            return
        before = request.query.get("before", "")
        entries = await in_thread(log.newest, 200, int(before) if before.isdigit() and len(before) < 16 else 0)
        if request.path.endswith(".json"):
            names = ("number", "at", "who", "role", "how", "action", "detail", "outcome")
            await as_json(send, [{name: getattr(entry, name) for name in names} for entry in entries])
            return
        more = entries[-1].number if len(entries) == 200 else 0
        await html(self.access, send, 200, audit(entries, more=more), [])

    def _form_token(self, request: Request) -> tuple[str, list[bytes]]:
        """What a form carries to show that a page of ours made it for this browser, and the cookie it belongs to."""
        made = request.cookie("proving-form")
        if len(made) == 43:
            return self._form_mac(made), []
        made = secrets.token_urlsafe(32)
        return self._form_mac(made), [self._cookie(request, "proving-form", made)]

    def _form_mac(self, made: str) -> str:
        return hashlib.blake2b(made.encode(), key=self._form_key, digest_size=24).hexdigest()

    def _form_is_ours(self, request: Request, token: str) -> bool:
        made = request.cookie("proving-form")
        return len(made) == 43 and secrets.compare_digest(self._form_mac(made).encode(), token.encode())

    def _secure(self, request: Request) -> bool:
        forwarded = request.header("x-forwarded-proto") if self.access.proxies.trusts(request.peer) else ""
        return (forwarded.split(",")[0].strip() or request.scope.get("scheme", "http")) == "https"

    def session_cookie(self, request: Request) -> str:
        """The name of the cookie: over https one that no other host can plant."""
        return "__Host-proving" if self._secure(request) else "proving"

    def _cookie(self, request: Request, name: str, value: str, seconds: int | None = None) -> bytes:
        kept = "" if seconds is None else f"; Max-Age={seconds}"
        # On a Space the page stands in the Hub's frame, where only such a cookie is sent.
        site = "; Secure; SameSite=None" if self._secure(request) and self.access.on_space else "; SameSite=Lax"
        secure = "; Secure" if self._secure(request) and "Secure" not in site else ""
        return f"{name}={value}; Path=/; HttpOnly{site}{secure}{kept}".encode()
