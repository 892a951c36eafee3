"""The gate in front of gradio: says whose request it is, refuses what is nobody's, and serves the pages to sign in."""

from __future__ import annotations

import secrets
from dataclasses import replace
from urllib.parse import quote

from components.access import Access
from components.asgi import Request, TooMuch, in_thread, redirect, reply
from components.front_desk import ALWAYS, OURS, FrontDesk
from components.headers import Asgi, Message, Receive, Send
from components.own_answers import refuse
from core.errors import AppError, QuotaExceeded
from core.origins import READING, from_this_page, is_loopback, name_of
from core.roles import USER, Account, Role, refusal

# Where the account of a request stands for everything behind the gate.
ACCOUNT = "proving.account"
TICKET, OWN_CLIENT = b"x-proving-ticket", b"x-proving-client"
# What gradio serves and this app has no use for: the first two open addresses a caller names.
CLOSED = ("/gradio_api/proxy=", "/gradio_api/file=http", "/proxy=", "/file=http", "/gradio_api/vibe-", "/gradio_api/undo-vibe",
          "/gradio_api/process_recording", "/gradio_api/dev/", "/gradio_api/runs", "/monitoring", "/gradio_api/deep_link",
          # Functions of components run past the check of roles; none of this app's components has one.
          "/gradio_api/component_server")  # fmt: skip
MEGABYTE = 1_000_000
# What gradio reads whole before anything looks at it: a picture of 50 MB as text fits. An upload goes to disk as it comes.
MOST_BODY = 80 * MEGABYTE


class Gate:
    """Pure ASGI, in front of everything gradio serves."""

    def __init__(self, app: Asgi, access: Access) -> None:
        self._app, self.access = app, access
        self._desk = FrontDesk(access)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on with its account, or answer it here."""
        if scope["type"] != "http":
            # gradio's page uses no web socket; nothing behind the gate would know whose it is.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        request = Request(scope, receive, self.access)
        try:
            await self._answer(request, send)
        except TooMuch:
            await reply(send, 413, "text/plain", b"Too large. Send less of it.")

    async def _answer(self, request: Request, send: Send) -> None:
        access, path = self.access, request.path
        if access.on_loopback and access.open and not is_loopback(name_of(request.header("host"))):
            # A page elsewhere can make its own name point to this machine; its visitor would be admin here.
            await self._refuse(request, send, 421, "Not this address", NOT_THIS_HOST)
            return
        if path.startswith(CLOSED):
            await self._refuse(request, send, 404, "Not here", "This app has no such page.")
            return
        ours = from_this_page(request.scope["method"], request.headers, request.hosts)
        try:
            who = await self._who(request, ours)
        except AppError as error:
            await self._refuse(request, send, 503, "Not now", str(error))
            return
        if who is None:
            await self._refuse(request, send, 401, "Not signed in", WRONG_KEY)
            return
        if not ours and access.open and request.scope["method"] not in READING:
            await self._refuse(request, send, 403, "Not from this page", OTHER_SITE)
            return
        if path in (ALWAYS if access.open else OURS):
            await self._desk.page(request, who, ours, send)
            return
        # gradio asks itself for the first when it starts; the others hold nothing of anybody's.
        if who.role < Role.VISITOR and path not in ("/gradio_api/startup-events", "/robots.txt", "/favicon.ico"):
            if path == "/" and request.scope["method"] in ("GET", "HEAD"):
                query = request.scope.get("query_string", b"").decode("latin-1")
                await redirect(send, "/sign-in?next=" + quote("/" + ("?" + query if query else ""), safe=""))
            else:
                await self._refuse(request, send, 401, "Not signed in", refusal(Role.VISITOR, who, can_sign_in=True))
            return
        request.scope[ACCOUNT] = who
        receive = request.receive
        if request.scope["method"] not in READING:
            uploads = path.startswith("/gradio_api/upload")
            try:
                receive = self._counted(request, who, 0 if uploads else MEGABYTE, None if uploads else MOST_BODY)
            except QuotaExceeded as error:
                await self._refuse(request, send, 429, "Too much", str(error))
                return
        if path.startswith("/gradio_api/mcp"):
            await self._with_ticket(request.scope, receive, send, who)
            return
        await self._app(request.scope, receive, send)

    async def _refuse(self, request: Request, send: Send, status: int, title: str, sentence: str) -> None:
        await refuse(self.access, request, send, status, title, sentence)

    async def _who(self, request: Request, ours: bool) -> Account | None:
        """Whose request it is; None when it names somebody it cannot prove to be."""
        access = self.access
        found = access.tickets.get(request.header(TICKET.decode()))
        if found is not None:
            return found
        if access.open:
            return access.anonymous(request.address)
        if secrets.compare_digest(request.header(OWN_CLIENT.decode()).encode(), access.own_client.encode()):
            return Account(Role.VISITOR, address=request.address)
        sign_in = access.sign_in
        key = request.bearer
        if key and sign_in is not None:
            if access.usage.attempts.too_often(request.address):
                raise QuotaExceeded("Too many wrong keys came from your address. Try again in ten minutes.")
            known = await in_thread(sign_in.by_key, key)
            if known is None:
                access.usage.attempts.count(request.address)
                return None
            return replace(known, address=request.address)
        # What the proxy knows its users by, a cookie mostly, travels with what any page of any site sends here: like our
        # own cookie it counts for our own pages only.
        if ours and access.proxies.user_header and access.proxies.trusts(request.peer):
            named = request.header(access.proxies.user_header).strip()
            if named and USER.fullmatch(named):
                groups = request.header(access.proxies.groups_header) if access.proxies.groups_header else ""
                orgs = tuple(part.strip() for part in groups.split(",") if USER.fullmatch(part.strip()))
                role = sign_in.grants.of(named, orgs) if sign_in else Role.REVIEWER
                return Account(role, named, named, orgs, "proxy", request.address)
        session = request.cookie(self._desk.session_cookie(request)) if ours else ""
        signed = access.sessions.account(session)
        return replace(signed, address=request.address) if signed else access.anonymous(request.address)

    def _counted(self, request: Request, who: Account, free: int, most: int | None) -> Receive:
        """The body, which counts as an upload from `free` bytes on, and ends at `most` (None: gradio bounds each file).

        Refused at once when its length says that it is too much: raises `TooMuch` or `QuotaExceeded`.
        """
        usage = self.access.usage
        length = request.header("content-length")
        told = int(length) if length.isdigit() else 0
        if most is not None and told > most:
            raise TooMuch
        came = counted = 0

        def count(upto: int) -> None:
            nonlocal counted
            if upto > max(free, counted):
                usage.spend("upload", who, (upto - counted) / MEGABYTE)
                counted = upto

        count(told)

        async def receive() -> Message:
            nonlocal came
            message = await request.receive()
            came += len(message.get("body", b""))
            if most is not None and came > most:
                return {"type": "http.disconnect"}
            try:
                count(came)
            except QuotaExceeded:
                return {"type": "http.disconnect"}
            return message

        return receive

    async def _with_ticket(self, scope: Message, receive: Receive, send: Send, who: Account) -> None:
        """An MCP call comes back through gradio's own client, from this machine: the ticket says for whom."""
        ticket = secrets.token_urlsafe(24)
        self.access.tickets[ticket] = who
        named = [pair for pair in scope["headers"] if pair[0].lower() not in (TICKET, OWN_CLIENT)]
        try:
            await self._app({**scope, "headers": [*named, (TICKET, ticket.encode())]}, receive, send)
        finally:
            del self.access.tickets[ticket]


NOT_THIS_HOST = (
    "This app trusts whoever reaches it on this machine, so it answers to localhost and 127.0.0.1 only. Behind a proxy or "
    "under a name of its own, set PROVING_AUTH or PROVING_TRUSTED_PROXY, so that it asks who comes."
)
WRONG_KEY = "The key or token of this request is wrong or has ended. Make a new one under Account, or leave it out."
OTHER_SITE = "A page of another site asked for this. Open the app itself."


def account_in(request: object) -> Account | None:
    """The account the gate has put on a request, gradio's or Starlette's; None where no gate was passed."""
    inner = getattr(request, "request", None) or request
    scope = getattr(inner, "scope", None)
    found = scope.get(ACCOUNT) if isinstance(scope, dict) else None
    return found if isinstance(found, Account) else None
