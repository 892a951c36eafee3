"""The catalogue against the test Hub: search, resolve and cards, with everything a network can do to them."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import pytest

from backends.hub.catalog import Catalog
from backends.hub.disk_cache import DiskCache
from backends.hub.errors import About
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.session import HubSession
from core.catalog import LocalFolder, SearchQuery
from core.errors import HubError, HubUnreachable, ModelNotFound, RateLimited, RevisionGone, UserInputError
from core.refs import ModelRef
from tests.hub_server import Alter, CloseConnection, Hold, HubServer, Slow, Status
from tests.hub_server import RateLimited as Limit
from tests.hub_server.seed import model_files, safetensors, seed

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BUNDLED = ModelRef("came/with-the-app", "f" * 40)


@pytest.fixture
def bundled(tmp_path: Path) -> LocalFolder:
    folder = tmp_path / "bundled"
    folder.mkdir()
    for name, content in model_files("Bundled").items():
        (folder / name).write_bytes(content)
    return LocalFolder(BUNDLED, folder, ready=True, bundled=True)


@pytest.fixture
def local(tmp_path: Path, bundled: LocalFolder) -> LocalModels:
    return LocalModels([bundled], tmp_path / "cache")


def catalog_of(url: str, local: LocalModels, token: str | bool = False, **options: float) -> Catalog:
    return Catalog(HubModels(url, token), local, **options)


@pytest.fixture
def catalog(hub: HubServer, local: LocalModels) -> Catalog:
    seed(hub)
    return catalog_of(hub.url, local)


def names(page) -> list[str]:
    return [row.repo_id for row in page.rows]


def cache(tmp_path: Path, repo_id: str, commit: str, files: dict[str, bytes]) -> None:
    """A snapshot as hf_hub_download leaves it."""
    repo = tmp_path / "cache" / f"models--{repo_id.replace('/', '--')}"
    for folder in (repo / "refs", repo / "snapshots" / commit):
        folder.mkdir(parents=True)
    (repo / "refs/main").write_text(commit)
    for name, content in files.items():
        (repo / "snapshots" / commit / name).write_bytes(content)


@contextmanager
def answering(reply: bytes = b"", every: float = 0.0) -> Iterator[str]:
    """A host that accepts connections, and says nothing, or one byte of `reply` at a time."""
    server = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    open_: list[socket.socket] = []

    def dribble(connection: socket.socket) -> None:
        try:
            for position in range(len(reply)):
                if stop.wait(every):
                    return
                connection.sendall(reply[position : position + 1])
        except OSError:
            pass  # The client has left, as it should.

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                return
            open_.append(connection)
            threading.Thread(target=dribble, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stop.set()
        server.close()
        for connection in open_:
            connection.close()


class TestSearch:
    def test_rows_of_the_hub_and_of_this_machine(self, catalog: Catalog, hub: HubServer) -> None:
        page = catalog.search(SearchQuery())
        assert names(page)[0] == BUNDLED.repo_id
        assert set(names(page)[1:]) == {
            "alice/tiny-chat-tuned",
            "team/tiny-chat",
            "team/guarded-chat",
            "team/tiny-image",
        }
        assert (page.complete, page.hub_reachable, page.notice) == (True, True, None)
        row = next(row for row in page.rows if row.repo_id == "team/tiny-chat")
        assert row.revision == hub.head("team/tiny-chat")
        assert (row.task, row.library, row.license_class, row.params) == (
            "text-generation",
            "transformers",
            "permissive",
            256,
        )
        assert (row.downloads, row.likes, row.gated, row.runs_here, row.memory_exact) == (1200, 7, False, True, False)
        assert row.memory_bytes is not None
        assert row.memory_bytes >= 256 * 2

    def test_only_what_a_row_needs_is_asked(self, catalog: Catalog, hub: HubServer) -> None:
        catalog.search(SearchQuery(source="hub"))
        assert "siblings" not in hub.sent("GET /api/models")[0].query["expand"]

    def test_task_author_and_library_are_asked_of_the_hub(self, catalog: Catalog) -> None:
        assert names(catalog.search(SearchQuery(source="hub", task="text-to-image"))) == ["team/tiny-image"]
        assert names(catalog.search(SearchQuery(source="hub", author="alice"))) == ["alice/tiny-chat-tuned"]
        assert names(catalog.search(SearchQuery(source="hub", library="diffusers"))) == []
        assert len(names(catalog.search(SearchQuery(source="hub", library="demo")))) == 4

    @pytest.mark.parametrize(
        ("sort", "first"),
        [
            ("trending", "alice/tiny-chat-tuned"),
            ("downloads", "team/tiny-chat"),
            ("likes", "team/guarded-chat"),
            ("created", "team/tiny-image"),
            ("updated", "team/tiny-image"),
        ],
    )
    def test_every_sort(self, catalog: Catalog, sort: str, first: str) -> None:
        assert names(catalog.search(SearchQuery(source="hub", sort=sort)))[0] == first

    def test_the_limit_and_what_it_means_for_complete(self, catalog: Catalog) -> None:
        page = catalog.search(SearchQuery(source="hub", limit=2))
        assert (len(page.rows), page.complete, page.looked_at) == (2, False, 2)
        page = catalog.search(SearchQuery(source="hub", limit=4))
        assert (len(page.rows), page.complete, page.looked_at) == (4, True, 4)

    def test_several_words_are_looked_for_one_by_one(self, catalog: Catalog, hub: HubServer) -> None:
        """The Hub matches one substring of the id: asked for "image team tiny" as it is, it finds nothing."""
        page = catalog.search(SearchQuery(source="hub", text="image team tiny"))
        assert names(page)[0] == "team/tiny-image"
        assert (page.whole, page.rows[0].matched, page.complete) == (1, ("image", "team", "tiny"), True)
        assert [len(row.matched) for row in page.rows] == [3, 2, 2, 1]
        assert {request.first("search") for request in hub.sent("GET /api/models")} >= {"image", "team", "tiny"}
        assert names(catalog.search(SearchQuery(source="hub", text="guarded license:other")))[0] == "team/guarded-chat"

    def test_words_that_name_a_filter_are_asked_as_one(self, catalog: Catalog, hub: HubServer) -> None:
        page = catalog.search(SearchQuery(source="hub", text="tiny text-to-image"))
        assert names(page) == ["team/tiny-image"]
        assert page.words == ("tiny",)
        assert hub.sent("GET /api/models")[0].first("pipeline_tag") == "text-to-image"
        assert names(catalog.search(SearchQuery(source="hub", text='tiny "text-to-image"')))[0] == "team/tiny-image"

    def test_a_word_that_no_name_has_is_found_as_a_tag(self, hub: HubServer, local: LocalModels) -> None:
        hub.add_model("org/plain", tags=["tickets"])
        hub.add_model("org/other", tags=["else"])
        page = catalog_of(hub.url, local).search(SearchQuery(source="hub", text="tickets"))
        assert names(page) == ["org/plain"]

    def test_a_stream_that_is_cut_short_says_so(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(20):
            hub.add_model(f"org/common-{number:02}", likes=20 - number)
        catalog = catalog_of(hub.url, local)
        query = SearchQuery(source="hub", text="common", sort="likes", exclude=("common-0",), look_at=9)
        page = catalog.search(query)
        assert (page.rows, page.found, page.looked_at, page.complete) == ((), 0, 9, False)
        further = catalog.search(replace(query, look_at=10_000))
        assert (further.found, further.looked_at, further.complete) == (10, 20, True)

    def test_looking_further_asks_for_no_page_twice(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(1, 13):
            hub.add_model(f"org/common-{number:02}", downloads=number)
        catalog = catalog_of(hub.url, local)
        query = SearchQuery(source="hub", author="org", sort="downloads", runs_here=True, look_at=3)
        assert catalog.search(query).looked_at == 3
        assert len(hub.sent("GET /api/models")) == 1
        assert catalog.search(replace(query, look_at=1000)).looked_at == 12
        assert len(hub.sent("GET /api/models")) == 4, "four pages, one of them known"

    def test_a_bound_ends_the_stream_that_is_sorted_by_it(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(1, 10):
            hub.add_model(f"org/common-{number}", downloads=number)
        page = catalog_of(hub.url, local).search(SearchQuery(source="hub", sort="downloads", min_downloads=8))
        assert (names(page), page.complete, page.looked_at) == (["org/common-9", "org/common-8"], True, 3)

    def test_what_is_not_for_everybody_is_left_out_and_counted(self, hub: HubServer, local: LocalModels) -> None:
        hub.add_model("org/common-1", tags=["not-for-all-audiences"])
        hub.add_model("org/common-2")
        catalog = catalog_of(hub.url, local)
        page = catalog.search(SearchQuery(source="hub", text="common"))
        assert (names(page), page.adult_left_out) == (["org/common-2"], 1)
        page = catalog.search(SearchQuery(source="hub", text="common", adult=True))
        assert (len(page.rows), page.adult_left_out) == (2, 0)

    def test_paging_shows_every_model_once(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(8):
            hub.add_model(f"org/common-{number}", downloads=100 - number)
        catalog = catalog_of(hub.url, local)
        seen: list[str] = []
        for offset in (0, 3, 6):
            page = catalog.search(SearchQuery(source="hub", text="common", sort="downloads", limit=3, offset=offset))
            seen += names(page)
        assert seen == [f"org/common-{number}" for number in range(8)]
        assert page.complete

    def test_pages_that_came_before_the_deadline_are_shown(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(9):
            hub.add_model(f"org/common-{number}")
        hub.fail_next("GET /api/models", Slow(0))
        hold = hub.fail_next("GET /api/models", Hold())
        page = catalog_of(hub.url, local, search_seconds=1).search(
            SearchQuery(source="hub", text="common", limit=9, exclude=("nothing",))
        )
        assert (len(page.rows), page.looked_at, page.complete) == (3, 3, False)
        assert page.notice is not None
        assert "in time" in page.notice
        hold.release()

    def test_rows_come_as_pages_arrive_and_end_when_nobody_waits(self, hub: HubServer, local: LocalModels) -> None:
        for number in range(9):
            hub.add_model(f"org/common-{number}")
        hub.fail_next("GET /api/models", Slow(0))
        hold = hub.fail_next("GET /api/models", Hold())
        pages = catalog_of(hub.url, local, search_seconds=120).pages(
            SearchQuery(source="hub", text="common", exclude=("nothing",)), hold.arrived.is_set
        )
        first = next(pages)
        assert (len(first.rows), first.more_coming) == (3, True)
        assert hold.arrived.wait(60)
        last = list(pages)[-1]
        assert (len(last.rows), last.complete) == (3, False)
        hold.release()

    def test_the_last_answer_is_shown_with_its_age_when_the_hub_is_gone(
        self, hub: HubServer, local: LocalModels, tmp_path: Path
    ) -> None:
        hub.add_model("org/common", downloads=3, license="mit")
        catalog = Catalog(HubModels(hub.url, False), local, kept=DiskCache(tmp_path / "kept"))
        assert "org/common" in names(catalog.search(SearchQuery(text="common")))
        hub.fail_next("GET /api/models", Status(503), times=None)
        page = catalog.search(SearchQuery(text="common"))
        assert names(page) == ["org/common"]
        assert page.notice is not None
        assert "error 503" in page.notice
        assert "just now" in page.notice
        assert page.rows[0].downloads == 3

    def test_memory_is_counted_from_config_json_once_per_commit(
        self, hub: HubServer, local: LocalModels, tmp_path: Path
    ) -> None:
        config = {
            "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64,
            "max_position_embeddings": 512,
        }  # fmt: skip
        for name in "abcde":
            hub.add_model(f"org/common-{name}", {**model_files(name), "config.json": json.dumps(config).encode()})
        catalog = Catalog(HubModels(hub.url, False), local, search_seconds=60, kept=DiskCache(tmp_path / "kept"))
        rows = catalog.search(SearchQuery(source="hub", text="common")).rows
        assert not any(row.memory_exact for row in rows)
        exact = list(catalog.measure(rows))
        assert sorted(row.repo_id for row in exact) == sorted(row.repo_id for row in rows)
        assert all(row.memory_exact for row in exact)
        width = 2 if "bfloat16" in (exact[0].memory_note or "") else 4
        plain = (256 + 2 * 512 * 4 * (16 + 16)) * width
        assert exact[0].memory_bytes == plain + int(plain * 0.05)
        asked = len(hub.requests)
        assert len(list(catalog.measure(rows))) == 5
        assert len(hub.requests) == asked, "asked again for the same commits"

    def test_nothing_is_followed_to_another_host(self, hub: HubServer, local: LocalModels) -> None:
        """list_models follows `Link` as it is, with the token in the request."""
        for number in range(6):
            hub.add_model(f"alice/common-{number}", tags=["rare"])

        def elsewhere(reply):
            link = reply.headers.get("Link", "").replace(hub.url, other.url)
            return replace(reply, headers=reply.headers | {"Link": link})

        with HubServer() as other:
            hub.fail_next("GET /api/models", Alter(elsewhere), times=None)
            page = catalog_of(hub.url, local, "hf_alice").search(SearchQuery(source="hub", text="common rare", limit=6))
            assert len(page.rows) == 6
            assert other.requests == []
        assert {request.token for request in hub.sent("GET /api/models")} == {"hf_alice"}

    def test_rows_from_strangers_lose_a_field_not_the_list(self, hub: HubServer, local: LocalModels) -> None:
        hub.add_model("org/good", downloads=1)
        rows = [{"id": "org/odd", "tags": 3, "downloads": "many", "lastModified": "yesterday"}, {"no": "id"}, None, 7]

        def odd(reply):
            return replace(reply, body=json.dumps([*rows, *json.loads(reply.body)]).encode())

        hub.fail_next("GET /api/models", Alter(odd))
        page = catalog_of(hub.url, local).search(SearchQuery(source="hub"))
        assert names(page) == ["org/odd", "org/good"]

    def test_private_models_only_with_a_token_that_sees_them(
        self, catalog: Catalog, hub: HubServer, local: LocalModels
    ) -> None:
        assert "alice/secret" not in names(catalog.search(SearchQuery(source="hub")))
        assert "alice/secret" in names(catalog_of(hub.url, local, "hf_alice").search(SearchQuery(source="hub")))

    def test_values_outside_the_vocabulary_never_reach_the_hub(self, catalog: Catalog, hub: HubServer) -> None:
        with pytest.raises(UserInputError):
            catalog.search(SearchQuery(sort="stars"))  # type: ignore[arg-type]
        assert hub.sent("GET /api/models") == []

    @pytest.mark.parametrize(
        "text", ["../../etc", "https://x.example/a?b", "$(id)", "a\x00b", "'; drop", "%00", "ü 中"]
    )
    def test_odd_text_finds_nothing_and_breaks_nothing(self, catalog: Catalog, text: str) -> None:
        assert names(catalog.search(SearchQuery(text=text))) == []


class TestTrouble:
    def test_offline(self, local: LocalModels) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        started = monotonic()
        page = catalog_of(url, local).search(SearchQuery())
        assert monotonic() - started < 2
        assert names(page) == [BUNDLED.repo_id]
        assert page.notice == "The Hub cannot be reached. Showing the models on this machine."
        assert (page.hub_reachable, page.complete) == (False, False)
        with pytest.raises(HubUnreachable, match="network"):
            catalog_of(url, local).search(SearchQuery(source="hub"))

    @pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[" + b" " * 999])
    def test_a_host_that_accepts_and_does_not_answer(self, local: LocalModels, reply: bytes) -> None:
        """The library itself would wait for ever; a byte now and then starts its read timeout again."""
        with answering(reply, every=0.02) as url:
            catalog = catalog_of(url, local, search_seconds=1.2)
            started = monotonic()
            page = catalog.search(SearchQuery())
            assert monotonic() - started < 1.7
            assert names(page) == [BUNDLED.repo_id]
            assert page.notice is not None
            started = monotonic()
            assert catalog.search(SearchQuery()).notice == page.notice
            assert monotonic() - started < 0.3, "the second search waited again"
            with pytest.raises(HubUnreachable, match="in time"):
                catalog.search(SearchQuery(source="hub"))
            ends = monotonic() + 3
            while any(thread.name == "hub-call" for thread in threading.enumerate()):
                assert monotonic() < ends, "a call that nobody waits for goes on"
                sleep(0.02)

    def test_the_default_deadline_is_four_seconds(self, local: LocalModels) -> None:
        with answering() as url:
            started = monotonic()
            page = catalog_of(url, local).search(SearchQuery())
            assert 3 < monotonic() - started < 4
            assert page.notice is not None

    def test_try_again_closes_the_circuit(self, hub: HubServer, local: LocalModels) -> None:
        hub.add_model("org/name")
        hold = hub.fail_next("GET /api/models", Hold())
        catalog = catalog_of(hub.url, local, search_seconds=1.2)
        assert catalog.search(SearchQuery()).notice
        assert catalog.search(SearchQuery()).notice
        assert names(catalog.search(SearchQuery(source="hub"))) == ["org/name"]
        assert catalog.search(SearchQuery()).notice is None
        hold.release()

    def test_a_rate_limit_is_told_at_once(self, catalog: Catalog, hub: HubServer) -> None:
        """list_models waits and asks again for up to 23 s; the person would see "cannot be reached" instead."""
        hub.fail_next("GET /api/models", Limit(9))
        with pytest.raises(RateLimited, match="in 9 seconds") as caught:
            catalog.search(SearchQuery(source="hub"))
        assert caught.value.retry_after == 9
        asked = len(hub.sent("GET /api/models"))
        page = catalog.search(SearchQuery())
        assert (
            page.notice
            == "The Hub asks to wait: too many requests. Try again in 9 seconds. Showing the models on this machine."
        )
        assert page.hub_reachable is True
        assert len(hub.sent("GET /api/models")) == asked, "asked although told to wait"

    @pytest.mark.parametrize("fault", [Status(500), Status(503), CloseConnection()])
    def test_a_failure_is_not_repeated_and_soon_forgotten(
        self, catalog: Catalog, hub: HubServer, fault: object
    ) -> None:
        hub.fail_next("GET /api/models", fault)
        assert names(catalog.search(SearchQuery())) == [BUNDLED.repo_id]
        assert len(hub.sent("GET /api/models")) == 1
        assert len(names(catalog.search(SearchQuery()))) == 5

    @pytest.mark.parametrize("body", [b"<html>log in</html>", b'{"not": "a list"}', b"\xff\xfe", b""])
    def test_something_else_answers(self, catalog: Catalog, hub: HubServer, body: bytes) -> None:
        hub.fail_next("GET /api/models", Alter(lambda reply: replace(reply, body=body)), times=2)
        with pytest.raises(HubUnreachable, match="not a Hub"):
            catalog.search(SearchQuery(source="hub"))
        assert catalog.search(SearchQuery()).notice

    def test_a_refused_token(self, catalog: Catalog, hub: HubServer, local: LocalModels) -> None:
        wrong = catalog_of(hub.url, local, "hf_wrong_and_secret")
        with pytest.raises(HubError, match="HF_TOKEN") as caught:
            wrong.search(SearchQuery(source="hub"))
        assert "hf_wrong_and_secret" not in str(caught.value)
        notice = wrong.search(SearchQuery()).notice
        assert notice is not None
        assert "HF_TOKEN" in notice

    def test_a_token_that_no_header_can_carry(self, hub: HubServer, local: LocalModels) -> None:
        with pytest.raises(HubError, match="HF_TOKEN"):
            catalog_of(hub.url, local, "hf_a\nb").search(SearchQuery(source="hub"))


class TestResolve:
    def test_branch_tag_commit_and_short_commit(self, catalog: Catalog, hub: HubServer) -> None:
        first = hub.head("team/tiny-chat")
        hub.commit("team/tiny-chat", files={"notes.md": b"x"})
        head = hub.head("team/tiny-chat")
        hub._state.repos.get("model", "team/tiny-chat").tags["v1.0"] = first
        hub._state.repos.get("model", "team/tiny-chat").branches["feat/x"] = first
        assert catalog.resolve("team/tiny-chat") == ModelRef("team/tiny-chat", head)
        assert catalog.resolve("team/tiny-chat", "main").revision == head
        for name in ("v1.0", "feat/x", first, first[:7]):
            assert catalog.resolve("team/tiny-chat", name).revision == first

    def test_what_is_not_there(self, catalog: Catalog) -> None:
        with pytest.raises(ModelNotFound, match="no/where"):
            catalog.resolve("no/where")
        with pytest.raises(ModelNotFound, match="private"):
            catalog.resolve("alice/secret")
        with pytest.raises(RevisionGone, match="v9"):
            catalog.resolve("team/tiny-chat", "v9")
        with pytest.raises(RevisionGone):
            catalog.resolve("team/tiny-chat", COMMIT)

    @pytest.mark.parametrize(
        "repo_id", ["", "a b", "../x", "https://hub/x", "a/b/c", "x;id", "a/b?c", "a--b/c", "<b>/x"]
    )
    def test_malformed_ids_never_reach_the_hub(self, catalog: Catalog, hub: HubServer, repo_id: str) -> None:
        with pytest.raises(UserInputError):
            catalog.resolve(repo_id)
        with pytest.raises(UserInputError):
            catalog.resolve("team/tiny-chat", "../../x")
        assert hub.requests == []

    def test_what_is_on_this_machine_needs_no_network(self, local: LocalModels, tmp_path: Path) -> None:
        cache(tmp_path, "org/cached", COMMIT, model_files("Cached"))
        catalog = catalog_of("http://127.0.0.1:9", local)
        assert catalog.resolve(BUNDLED.repo_id) == catalog.resolve(BUNDLED.repo_id, BUNDLED.revision) == BUNDLED
        assert catalog.resolve("org/cached", COMMIT).revision == COMMIT
        assert catalog.resolve("org/cached").revision == catalog.resolve("org/cached", "main").revision == COMMIT
        with pytest.raises(HubUnreachable):
            catalog.resolve("org/other")
        with pytest.raises(HubUnreachable):
            catalog.resolve("org/cached", "v2")

    def test_a_reachable_hub_knows_better_than_the_cache(
        self, catalog: Catalog, hub: HubServer, tmp_path: Path
    ) -> None:
        cache(tmp_path, "team/tiny-chat", COMMIT, model_files("Old"))
        assert catalog.resolve("team/tiny-chat").revision == hub.head("team/tiny-chat")


class TestCard:
    def test_a_card(self, catalog: Catalog, hub: HubServer) -> None:
        card = catalog.card(catalog.resolve("team/tiny-chat"))
        assert card.markdown.startswith("# Tiny Chat")
        assert card.metadata["license"] == "apache-2.0"
        assert {entry.path: entry.size for entry in card.files}["config.json"] == 62
        assert (card.findings, card.gated, card.gated_link, card.main_moved, card.notices) == (
            (),
            False,
            None,
            None,
            (),
        )
        assert (card.summary.revision, card.summary.license_class) == (card.revision, "permissive")
        assert card.summary.weights_formats == ("safetensors",)
        assert card.papers == ()
        assert len(hub.sent("GET /*")) == 5, "resolve, info, refs, README, config"

    def test_the_card_of_a_commit_stays_when_main_moves(self, catalog: Catalog, hub: HubServer) -> None:
        ref = catalog.resolve("team/tiny-chat")
        head = hub.commit("team/tiny-chat", files={"README.md": b"---\nlicense: gpl-3.0\n---\n# New"})
        card = catalog.card(ref)
        assert card.markdown.startswith("# Tiny Chat")
        assert (card.metadata["license"], card.summary.license, card.main_moved) == ("apache-2.0", "apache-2.0", head)
        assert catalog.card(ModelRef("team/tiny-chat", head)).main_moved is None

    def test_a_gated_card_says_where_to_ask(self, catalog: Catalog, hub: HubServer, local: LocalModels) -> None:
        card = catalog.card(catalog.resolve("team/guarded-chat"))
        assert (card.gated, card.gated_link, card.markdown) == (True, f"{hub.url}/team/guarded-chat", "")
        assert card.metadata["license"] == "other"
        assert "access question" in card.notices[0]
        assert {"gated", "custom-code-unchecked"} <= {finding.id for finding in card.findings}
        assert card.files
        let_in = catalog_of(hub.url, local, "hf_alice").card(catalog.resolve("team/guarded-chat"))
        assert let_in.markdown.startswith("# Guarded")
        assert "custom-code-unchecked" not in {finding.id for finding in let_in.findings}

    def test_cards_that_are_not_as_they_should_be(self, hub: HubServer, local: LocalModels) -> None:
        catalog = catalog_of(hub.url, local)
        cases = {
            "org/no-readme": {},
            "org/no-front-matter": {"README.md": b"# Text alone"},
            "org/broken": {"README.md": b"---\na: b: c\n---\n# Text below"},
            "org/bytes": {"README.md": b"\xef\xbb\xbf---\r\nlicense: [mit]\r\n---\r\n\xff text"},
            "org/empty": {"README.md": b""},
        }
        for repo_id, files in cases.items():
            hub.add_model(repo_id, {"model.safetensors": safetensors({"a": [1]}), **files})
        cards = {repo_id: catalog.card(catalog.resolve(repo_id)) for repo_id in cases}
        assert "no README.md" in cards["org/no-readme"].notices[0]
        assert cards["org/no-readme"].findings[0].id == "license-missing"
        assert cards["org/no-front-matter"].markdown == "# Text alone"
        assert cards["org/broken"].markdown == "# Text below"
        assert "not valid YAML" in (cards["org/broken"].metadata_error or "")
        assert (cards["org/bytes"].summary.license, cards["org/bytes"].markdown) == ("mit", "\ufffd text")
        assert cards["org/empty"].markdown == ""

    def test_findings_of_this_version(self, hub: HubServer, local: LocalModels) -> None:
        config = json.dumps({"auto_map": {"AutoModel": "modeling.X"}}).encode()
        hub.add_model(
            "org/bad",
            {"pytorch_model.bin": b"x", "config.json": config, "README.md": b"x"},
            gated="auto",
            access=["alice"],
        )
        catalog = catalog_of(hub.url, local, "hf_alice")
        ids = {finding.id for finding in catalog.card(catalog.resolve("org/bad")).findings}
        assert ids == {"license-missing", "pickle-only", "custom-code", "gated"}

    @pytest.mark.parametrize("config", [b"[1", b"[]", b"\xff", b"[" * 100_000])
    def test_a_config_that_cannot_be_read_is_said(self, hub: HubServer, local: LocalModels, config: bytes) -> None:
        hub.add_model("org/odd", {"config.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"})
        hub.fail_next("GET /org/odd/resolve/*/config.json", Alter(lambda reply: replace(reply, body=config)))
        catalog = catalog_of(hub.url, local)
        assert [f.id for f in catalog.card(catalog.resolve("org/odd")).findings] == ["custom-code-unchecked"]

    def test_files_that_fail_leave_a_card_that_says_so(self, catalog: Catalog, hub: HubServer) -> None:
        ref = catalog.resolve("team/tiny-chat")
        hub.fail_next("GET /team/tiny-chat/resolve/*", Status(500), times=2)
        hub.fail_next("GET /api/models/team/tiny-chat/refs", Status(500))
        card = catalog.card(ref)
        assert (card.markdown, card.metadata["license"], card.main_moved) == ("", "apache-2.0", None)
        assert card.notices[0].startswith("The card's text could not be read. The Hub has a problem")
        assert [finding.id for finding in card.findings] == ["custom-code-unchecked"]

    def test_what_is_gone(self, catalog: Catalog, hub: HubServer) -> None:
        ref = catalog.resolve("team/tiny-chat")
        with pytest.raises(RevisionGone):
            catalog.card(ModelRef("team/tiny-chat", COMMIT))
        hub.delete("team/tiny-chat")
        with pytest.raises(ModelNotFound):
            catalog.card(ref)

    def test_the_bundled_card_needs_no_network(self, local: LocalModels) -> None:
        card = catalog_of("http://127.0.0.1:9", local).card(BUNDLED)
        assert (card.source, card.gated, card.summary.bundled) == ("local", False, True)
        assert card.markdown.startswith("# Bundled")
        assert card.findings == ()

    def test_a_bundled_model_that_is_not_prepared_says_so(self, tmp_path: Path) -> None:
        local = LocalModels([LocalFolder(BUNDLED, tmp_path / "not-yet", ready=False, bundled=True)], tmp_path / "cache")
        card = catalog_of("http://127.0.0.1:9", local).card(BUNDLED)
        assert "prepared when it is first used" in card.notices[0]
        assert all(finding.severity == "info" for finding in card.findings)

    def test_offline_the_copy_on_this_machine_is_shown(self, local: LocalModels, tmp_path: Path) -> None:
        cache(tmp_path, "org/cached", COMMIT, model_files("Cached"))
        cache(tmp_path, "org/partial", COMMIT, {"model.safetensors": safetensors({"a": [1]})})
        catalog = catalog_of("http://127.0.0.1:9", local)
        card = catalog.card(ModelRef("org/cached", COMMIT))
        assert (card.source, card.main_moved) == ("local", None)
        assert card.markdown.startswith("# Cached")
        assert "copy on this machine" in card.notices[0]
        assert [finding.id for finding in card.findings] == ["gated-unchecked"]
        partial = catalog.card(ModelRef("org/partial", COMMIT))
        assert "not on this machine" in partial.notices[1]
        assert "license-unchecked" in {finding.id for finding in partial.findings}

    def test_a_host_that_does_not_answer(self, local: LocalModels) -> None:
        with answering() as url:
            started = monotonic()
            with pytest.raises(HubUnreachable):
                catalog_of(url, local, card_seconds=0.5).card(ModelRef("org/name", COMMIT))
            assert monotonic() - started < 1.5

    def test_five_megabytes(self, hub: HubServer, local: LocalModels) -> None:
        hub.add_model("org/big", {"README.md": b"---\nlicense: mit\n---\n" + b"word " * 1_200_000})
        catalog = catalog_of(hub.url, local)
        card = catalog.card(catalog.resolve("org/big"))
        assert card.metadata == {"license": "mit"}
        assert 4_900_000 < len(card.markdown) < 5_000_001


def test_the_token_goes_to_the_endpoint_alone(hub: HubServer) -> None:
    """Large files live on another host: the redirect there must not carry the token."""
    commit = hub.add_model("alice/big", {"model.safetensors": safetensors({"a": [10]})})
    session = HubSession(hub.url, "hf_alice")
    about = About(hub.url, "alice/big", commit)
    content = session.get_file(
        "alice/big", commit, "model.safetensors", about=about, until=monotonic() + 5, most=10_000
    )
    assert content == safetensors({"a": [10]})
    tokens = {(request.origin, request.token) for request in hub.requests}
    assert tokens == {(hub.url, "hf_alice"), (hub.storage_url, None)}


def test_importing_the_catalogue_is_cheap() -> None:
    import subprocess
    import sys

    code = "import sys, backends.hub.catalog, components.card_html; print([m for m in ('huggingface_hub', 'httpx2', 'markdown_it', 'nh3') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_metadata_that_cannot_be_read_is_not_a_missing_licence(tmp_path: Path) -> None:
    """A card with broken front matter was reported as stating no licence, which nobody can know."""
    with HubServer() as hub:
        broken = b"---\nlicense: [apache-2.0\n  tags: {\n---\n# Card\n"
        hub.add_model("org/broken", {"README.md": broken, "config.json": b"{}", "model.safetensors": b"x"})
        catalog = Catalog(HubModels(hub.url, None), LocalModels((), tmp_path))
        card = catalog.card(catalog.resolve("org/broken"))
    assert card.metadata_error
    assert "license-missing" not in {finding.id for finding in card.findings}
    assert "license-unchecked" in {finding.id for finding in card.findings}
