"""Who may do what on the served app: signing in, sessions, keys, every endpoint, and every MCP tool."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

import app
from components.access import Access
from components.guard import handler_name
from core.roles import Role
from core.settings import Settings
from pages.roles import RULES
from tests.accounts import PASSWORD, access, csrf_in, key_of, signed_in
from tests.fakes import FakeRouter, FakeStore, services
from tests.serving import served

STORE = FakeStore()


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Access:
    return access(tmp_path_factory.mktemp("access"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[app.Services]:
    """Whatever a page can be built from: a remote engine, this machine's cache, cards in all their parts, conversations."""
    settings = Settings.from_env(
        {
            "PROVING_DATA_DIR": str(tmp_path_factory.mktemp("everything")),
            "PROVING_REMOTE_URL": "http://127.0.0.1:9/v1",
            "HF_ENDPOINT": "http://127.0.0.1:9",
        }
    )
    made = app.build_services(settings)
    assert all(getattr(made, field.name) is not None for field in fields(made))
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def shown(rules: Access, everything: app.Services) -> app.Services:
    """The same on scripted engines; cards are the catalogue's alone, as no Hub answers."""
    stand_ins = services(FakeRouter(), STORE)
    kept = {
        field.name: getattr(stand_ins, field.name) or getattr(everything, field.name) for field in fields(stand_ins)
    }
    return app.Services(**{**kept, "access": rules, "details": None, "repos": None})


@pytest.fixture(scope="module")
def url(shown: app.Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(shown, tmp_path_factory.mktemp("signed")) as address:
        yield address


def test_every_endpoint_has_a_role_and_a_handler_without_one_does_not_start(everything: app.Services) -> None:
    import gradio as gr

    from components.guard import Undeclared, guard

    demo = app.build(everything)
    handlers = {handler_name(event.fn) for event in demo.fns.values() if event.fn is not None}
    assert len(handlers) > 180
    # Neither one that is not in the table, nor a line of it that is nothing's any more.
    assert handlers == set(RULES)
    assert not [name for name, rule in RULES.items() if not Role.VISITOR <= rule.role <= Role.ADMIN]

    with gr.Blocks() as other:
        visitor = gr.BrowserState("")

        def new_handler() -> None:
            """Nobody has said who may call this."""

        gr.api(new_handler, api_name="new")
    with pytest.raises(Undeclared, match="new_handler"):
        guard(other, RULES, Access(), visitor)


def test_no_endpoint_above_a_visitor_answers_a_stranger(url: str, shown: app.Services) -> None:
    """Each one by its number, as anybody can call it, whether or not it is listed."""
    config = httpx.get(f"{url}config", timeout=60).json()
    demo = app.build(shown)
    closed = {
        index: RULES[handler_name(event.fn)].role
        for index, event in demo.fns.items()
        if event.fn is not None and RULES[handler_name(event.fn)].role > Role.VISITOR
    }
    assert {handler_name(demo.fns[index].fn) for index in closed} == {
        name for name, rule in RULES.items() if rule.role > Role.VISITOR
    }
    inputs = {dependency["id"]: len(dependency["inputs"]) for dependency in config["dependencies"]}
    with httpx.Client(base_url=url, timeout=60) as stranger:
        for index, role in closed.items():
            sent = {"fn_index": index, "data": [None] * inputs[index], "session_hash": "stranger"}
            reply = stranger.post("gradio_api/run/predict", json=sent)
            assert reply.status_code == 500
            assert f"That is for a{'n' if role is Role.ADMIN else ''} {role.title}" in reply.json()["error"], index


def test_a_role_is_enough_for_what_it_may_and_no_more(url: str, rules: Access) -> None:
    rated = {"prompt": "p", "completion": "c", "label": True, "api_name": "/submit_rating"}
    STORE.kept.clear()
    stranger = Client(url, verbose=False)
    with pytest.raises(AppError, match=r"That is for a reviewer .* Sign in with an account"):
        stranger.predict(**rated)
    visitor = Client(url, verbose=False, headers={"Authorization": f"Bearer {key_of(url, 'vic')}"})
    with pytest.raises(AppError, match="Ask whoever runs this app"):
        visitor.predict(**rated)
    assert not STORE.kept
    reviewer = Client(url, verbose=False, headers={"Authorization": f"Bearer {key_of(url, 'rita')}"})
    assert reviewer.predict(**rated)["state"] == "saved"
    assert raters() == [rules.rater(access_of(rules, "rita"))]
    # Reading needs no account.
    assert stranger.predict(api_name="/feedback_status")["saved"] == 1


def test_a_vote_for_another_rater_is_refused(url: str, rules: Access) -> None:
    reviewer = Client(url, verbose=False, headers={"Authorization": f"Bearer {key_of(url, 'rita')}"})
    before = len(STORE.kept)
    for rater in ("somebody", rules.rater(access_of(rules, "cora"))):
        with pytest.raises(AppError, match="rater counts only where nobody signs in"):
            reviewer.predict(prompt="p", completion="c", label=True, rater=rater, api_name="/submit_rating")
    assert len(STORE.kept) == before


def raters() -> list[object]:
    """Under whom the rows stand, in their order."""
    return [row.provenance.rater for row in STORE.kept.values()]


def access_of(rules: Access, user: str) -> Any:
    """The account of a user."""
    assert rules.sign_in is not None
    found = rules.sign_in.by_password(user, PASSWORD)
    assert found is not None
    return found


def test_signing_in_and_out_with_a_new_session_each_time(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as browser:
        browser.cookies.set("proving", "planted-by-somebody")
        page = browser.get("sign-in?next=/%3Ftab%3Dfeedback")
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        form = {"csrf": csrf_in(page.text), "user": "rita", "password": PASSWORD, "next": "/?tab=feedback"}
        reply = browser.post("sign-in", data=form)
        assert (reply.status_code, reply.headers["location"]) == (303, "/?tab=feedback")
        cookie = next(value for value in reply.headers.get_list("set-cookie") if value.startswith("proving="))
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        session = cookie.split(";")[0].removeprefix("proving=")
        assert session != "planted-by-somebody"
    with httpx.Client(base_url=url, timeout=60, cookies={"proving": session}) as browser:
        assert browser.get("account/me").json() == {"user": "rita", "role": "reviewer", "can_sign_in": True}
        assert httpx.get(f"{url}account/me", cookies={"proving": "planted-by-somebody"}).json()["user"] == ""
        again = {"csrf": csrf_in(browser.get("sign-in").text), "user": "rita", "password": PASSWORD}
        renewed = browser.post("sign-in", data=again).headers["set-cookie"]
        assert session not in renewed
        assert httpx.get(f"{url}account/me", cookies={"proving": session}).json()["user"] == ""
    with signed_in(url, "rita") as browser:
        kept = browser.cookies["proving"]
        assert browser.post("sign-out", data={"csrf": csrf_in(browser.get("account").text)}).status_code == 303
        assert httpx.get(f"{url}account/me", cookies={"proving": kept}).json()["user"] == ""


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"]
)
def test_signing_in_leads_to_this_app_only(url: str, target: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as browser:
        page = browser.get("sign-in", params={"next": target})
        assert "evil.example" not in page.text
        form = {"csrf": csrf_in(page.text), "user": "rita", "password": PASSWORD, "next": target}
        assert browser.post("sign-in", data=form).headers["location"] == "/"


def test_a_form_of_another_site_signs_nobody_in_or_out(url: str) -> None:
    with httpx.Client(base_url=url, timeout=60) as browser:
        token = csrf_in(browser.get("sign-in").text)
        form = {"csrf": token, "user": "rita", "password": PASSWORD}
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            assert browser.post("sign-in", data=form, headers=headers).status_code == 403
        assert browser.post("sign-in", data={**form, "csrf": ""}).status_code == 403
        assert browser.post("sign-in", data={**form, "csrf": "x" * 48}).status_code == 403
        # The token belongs to the browser that was given it.
        assert httpx.post(f"{url}sign-in", data=form, timeout=60).status_code == 403


def test_a_cookie_counts_only_for_requests_of_our_own_pages(url: str) -> None:
    with signed_in(url, "ann") as browser:
        assert browser.get("account/me").json()["role"] == "admin"
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}):
            assert browser.get("account/me", headers=headers).json()["user"] == ""


def test_a_wrong_password_says_nothing_of_the_user_and_guessing_ends(rules: Access, tmp_path: Path) -> None:
    with (
        served(replace(services(), access=access(tmp_path)), tmp_path) as url,
        httpx.Client(base_url=url, timeout=60) as browser,
    ):
        token = csrf_in(browser.get("sign-in").text)
        said = [
            browser.post("sign-in", data={"csrf": token, "user": user, "password": "wrong"})
            for user in ("rita", "nobody-here")
        ]
        assert [reply.status_code for reply in said] == [401, 401]
        assert all("do not belong together" in reply.text for reply in said)
        for _ in range(8):
            browser.post("sign-in", data={"csrf": token, "user": "rita", "password": "wrong"})
        last = browser.post("sign-in", data={"csrf": token, "user": "rita", "password": PASSWORD})
        assert last.status_code == 401
        assert "Too many wrong passwords" in last.text
        assert "wrong" not in (tmp_path / "audit.sqlite").read_bytes().decode("latin-1").replace("too many wrong", "")


def call_every_tool(url: str, headers: dict[str, str]) -> dict[str, str]:
    """What each MCP tool answers; an MCP session of its own, as an agent has."""
    import httpx as http
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    arguments: dict[str, dict[str, Any]] = {
        "chat": {"message": "hello"},
        "generate_image": {"prompt": "a pear", "seed": 3},
        "model_card": {"repo_id": "org/tiny-model"},
        "search_models": {},
        "leaderboard": {},
        "feedback_status": {},
        "submit_rating": {"prompt": "p", "completion": "c", "label": True},
        "submit_preference": {"prompt": "p", "chosen": "a", "rejected": "b"},
    }

    async def talk() -> dict[str, str]:
        async with (
            http.AsyncClient(headers=headers, timeout=120) as client,
            streamable_http_client(f"{url}gradio_api/mcp/", http_client=client) as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            assert {tool.name for tool in (await session.list_tools()).tools} == set(arguments)
            answers = {}
            for name, given in arguments.items():
                result = await session.call_tool(name, given)
                text = " ".join(part.text for part in result.content if part.type == "text")
                answers[name] = ("error: " if result.isError else "") + text
            return answers

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(anyio.run, talk).result()


def test_every_mcp_tool_signed_in_signed_out_and_with_a_wrong_token(url: str, rules: Access) -> None:
    kept = len(STORE.kept)
    out = call_every_tool(url, {})
    refused = {name for name, said in out.items() if said.startswith("error: ")}
    assert refused == {"submit_rating", "submit_preference"}, out
    assert "That is for a reviewer" in out["submit_rating"]
    assert len(STORE.kept) == kept

    signed = call_every_tool(url, {"Authorization": f"Bearer {key_of(url, 'rita')}"})
    assert not {name for name, said in signed.items() if said.startswith("error: ")}, signed
    assert "You said: hello" in signed["chat"]
    assert ast.literal_eval(signed["feedback_status"])["saved"] == kept
    mine = rules.rater(access_of(rules, "rita"))
    assert raters()[kept:] == [mine, mine]

    for wrong in ("Bearer pg_wrong", "Bearer hf_wrong", f"Bearer {key_of(url, 'rita')[:-1]}~"):
        reply = httpx.post(
            f"{url}gradio_api/mcp/",
            headers={"Authorization": wrong, "Accept": "application/json, text/event-stream"},
            json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"},
            timeout=60,
        )
        assert reply.status_code == 401
        assert "wrong or has ended" in reply.json()["error"]


def test_where_strangers_are_kept_out_nothing_answers_them_and_mcp_still_works(tmp_path: Path) -> None:
    closed = access(tmp_path, "anonymous=nobody; signed-in=visitor")
    with (
        served(replace(services(), access=closed), tmp_path) as url,
        httpx.Client(base_url=url, timeout=60) as stranger,
    ):
        page = stranger.get("?tab=card&model=org/x")
        assert page.status_code == 303
        assert page.headers["location"] == "/sign-in?next=%2F%3Ftab%3Dcard%26model%3Dorg%2Fx"
        for path in (
            "config",
            "gradio_api/info",
            "gradio_api/queue/data?session_hash=x",
            "gradio_api/file=/etc/passwd",
        ):
            assert stranger.get(path).status_code == 401, path
        assert stranger.post("gradio_api/upload", files={"files": b"x"}).status_code == 401
        assert stranger.get("account/audit.json").status_code == 403
        key = key_of(url, "rita")
        answers = call_every_tool(url, {"Authorization": f"Bearer {key}"})
        assert not [said for said in answers.values() if said.startswith("error: ")], answers
        # What a caller's own client is let through with, nobody can make up.
        for name in ("x-proving-client", "x-proving-ticket"):
            assert stranger.get("config", headers={name: "guessed"}).status_code == 401


def test_the_audit_log_says_who_did_what_and_only_an_admin_reads_it(url: str, rules: Access) -> None:
    with signed_in(url, "cora") as curator:
        assert curator.get("account/audit.json").status_code == 403
        assert "Audit log" not in curator.get("account").text
        refused = curator.get("account/audit", headers={"Accept": "text/html"})
        assert refused.status_code == 403
        assert '<a href="/sign-in?next=%2Faccount%2Faudit">Sign in</a>' in refused.text
    with signed_in(url, "ann") as admin:
        entries = admin.get("account/audit.json").json()
        assert {"ann", "cora", "rita"} <= {entry["who"] for entry in entries if entry["action"] == "signed in"}
        assert "made a key" in {entry["action"] for entry in entries}
        page = admin.get("account/audit", headers={"Accept": "text/html"}).text
        assert "signed in" in page
        assert PASSWORD not in page


def test_a_curator_withdraws_for_others_and_it_is_written_down(tmp_path: Path) -> None:
    from core.caller import called_by
    from core.errors import UserInputError
    from pages.feedback import FeedbackPage
    from tests.unit.test_export import rated

    rules, store = access(tmp_path), FakeStore()
    [row_id] = store.save([rated("a question", "an answer", True, rater="r-0123456789abcdef")]).ids
    page = FeedbackPage(store, "salt")
    for user in ("rita", ""):
        account = access_of(rules, user) if user else rules.anonymous("10.0.0.1")
        with called_by(account) as notes, pytest.raises(UserInputError, match="Only whoever gave this vote"):
            page.revise(row_id, "", rules.visitor(account, "some-browsers-visitor"))
        assert notes == []
    cora = access_of(rules, "cora")
    with called_by(cora) as notes:
        assert 'data-sure="Withdraw for its reviewer?"' in page.rows("all", "", "", rules.visitor(cora, ""))[0]
        with pytest.raises(UserInputError, match="Only whoever gave this vote"):
            page.revise(row_id, "left", rules.visitor(cora, ""))
        assert "Withdrawn for its reviewer" in page.revise(row_id, "", rules.visitor(cora, ""))
    assert notes == [("withdrew a row of somebody else", f"{row_id} of r-0123456789abcdef")]
    assert store.row(row_id) is None
