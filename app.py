"""Composition root: settings, services, pages, one Blocks; launched under __main__.

This is the only module that reads the environment, and the only one that constructs services.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from dataclasses import dataclass, field, replace
from typing import cast

from core.attached import NONE_HERE, AttachedPictures
from core.settings import on_zero_gpu

# gradio reads this when it is imported; the page makes no third-party request.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# Threads of torch that wait for each other spin for milliseconds by default: on a machine with other work to do they
# keep each other from the processor, and a picture takes ten times as long.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if on_zero_gpu(os.environ):
    import spaces  # noqa: F401  (has to come before anything that touches CUDA)

import gradio as gr
from starlette.middleware import Middleware

from backends.accounts.audit import SqliteAudit
from backends.accounts.hub import OAuthClient
from backends.accounts.passwords import read_entries
from backends.accounts.service import AccountsOf
from backends.accounts.usage import SqliteUsage
from backends.attached import AttachedFiles
from backends.bundled.image import image_folders
from backends.conversations.store import SqliteConversations
from backends.evidence.facts import LocalFacts
from backends.evidence.publish import HubExports
from backends.evidence.service import EvidenceOf
from backends.feedback.build import build_feedback
from backends.gallery.store import SqlitePictures
from backends.gold import gold_of
from backends.hub.cache_folder import CacheFolder
from backends.hub.catalog import Catalog
from backends.hub.details import Details
from backends.hub.disk_cache import DiskCache
from backends.hub.local import LocalModels
from backends.hub.remote import HubModels
from backends.hub.repo_cards import RepoCards
from backends.hub.visitors import ForCaller, is_open_to_strangers
from backends.hub_client import install_timeouts
from backends.identity import secret_of
from backends.image.build import build_images
from backends.image.safety import SafetySettings
from backends.machine import ThisMachine
from backends.router import build_chat
from backends.rubric import rubric_of
from backends.safety.build import TextSafetySettings
from components.access import Access
from components.assets import WithAssets
from components.chip import chip
from components.gate import Gate
from components.guard import guard
from components.headers import WithHeaders, headers
from components.metered import metered_chat, metered_images, metered_take
from components.own_client import let_through
from components.policy import WithPolicy
from components.theme import CARD_STYLESHEET, CHAT_STYLESHEET, STYLESHEET, head, theme
from components.triggers import part, unmark
from components.visits import lighten
from components.who import who
from core.address import IMAGE_MODES, Address
from core.audit import CHANGED_SETTING, Entry, changed_settings
from core.chat_protocols import ChatRouter, RemoteModels
from core.conversations import ConversationStore
from core.errors import AppError
from core.evidence import Evidence
from core.feedback_protocols import FeedbackStore
from core.gold import NOTHING as NO_GOLD
from core.gold import Gold
from core.hub_protocols import CardDetails, HubCatalog, LocalCache, RepoDetails
from core.image_protocols import ImageRouter, PictureStore
from core.origins import is_loopback
from core.roles import Role
from core.rubric import DEFAULT as DEFAULT_RUBRIC
from core.rubric import Rubric
from core.settings import Settings
from core.space import missing
from pages.battle import BattlePage
from pages.capture import CapturePage
from pages.card import CardPage
from pages.chat import ChatPage
from pages.chat_adapter import AdapterPage
from pages.chat_api import ChatApi
from pages.consent import ConsentPanel
from pages.evidence import EvidencePage
from pages.exports import ExportPage
from pages.feedback import FeedbackPage
from pages.feedback_api import FeedbackApi
from pages.gallery import GalleryPage
from pages.image_battle import ImageBattlePage
from pages.image_best import BestPage
from pages.image_grid import GridPage
from pages.images import ImagesPage
from pages.images_api import ImagesApi
from pages.remote import RemotePage
from pages.roles import RULES
from pages.search import SearchPage
from pages.search_api import SearchApi
from pages.search_compare import ComparePage
from pages.search_machine import MachinePage
from pages.search_shortlist import ShortlistPage
from pages.shared import ON_POPSTATE, ON_WAITING, Frame, Shared

TITLE = "Proving Ground"


@dataclass(frozen=True)
class Services:
    """Everything the pages are handed."""

    catalog: HubCatalog
    router: ChatRouter
    store: FeedbackStore
    secret: str = field(repr=False)
    endpoint: str
    local_models: tuple[str, ...] = ()
    images: ImageRouter | None = None
    pictures: PictureStore | None = None
    remote: RemoteModels | None = None
    evidence: Evidence | None = None
    cache: LocalCache | None = None
    details: CardDetails | None = None
    conversations: ConversationStore | None = None
    access: Access | None = None
    rubric: Rubric = DEFAULT_RUBRIC
    gold: Gold = NO_GOLD
    repos: RepoDetails | None = None
    attached: AttachedPictures = NONE_HERE


def build_services(settings: Settings) -> Services:
    """Construct every service from the settings. Touches the data folder, not the network."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    install_timeouts()
    machine = ThisMachine(zero_gpu=settings.zero_gpu)
    attached = AttachedFiles(settings.data_dir / "attached")
    chat = build_chat(
        data_dir=settings.data_dir,
        chat_model=settings.chat_model,
        png=attached.png,
        token=settings.token,
        endpoint=settings.endpoint,
        orphan_seconds=settings.orphan_seconds,
        zero_gpu=settings.zero_gpu,
        remote_url=settings.remote_url,
        remote_token=settings.remote_token,
        local_only=settings.local_only,
        allow_pickle=settings.allow_pickle,
        text_safety=TextSafetySettings(
            settings.text_filter,
            settings.text_classifier,
            settings.text_classifier_labels,
            settings.text_classifier_threshold,
            settings.text_action,
        ),
        catalog=lambda folders: Catalog(
            HubModels(settings.endpoint, settings.token),
            LocalModels((*folders, *image_folders())),
            machine=machine,
        ),
    )
    if (remote := chat.remote) is not None:
        machine.serves_from(remote.host, lambda: [ref.repo_id for ref in remote.models()])
    images = build_images(
        data_dir=settings.data_dir,
        image_model=settings.image_model,
        token=settings.token,
        endpoint=settings.endpoint,
        orphan_seconds=settings.orphan_seconds,
        zero_gpu=settings.zero_gpu,
        remote_url=settings.remote_image_url,
        remote_token=settings.remote_image_token,
        local_only=settings.local_only,
        resolve=chat.catalog.resolve,
        safety=SafetySettings(
            settings.prompt_filter,
            settings.image_classifier,
            settings.image_classifier_labels,
            settings.image_classifier_threshold,
        ),
    )
    # A machine that strangers can reach has a token of its own for its start model; what they look at it asks for
    # without one, and with theirs where they have signed in.
    strangers = is_open_to_strangers(settings.host, settings.space_id)
    hub = HubModels(settings.endpoint, False if strangers else settings.token)
    # The cache of a Space holds what anybody fetched: only models in folders of their own are shown as here.
    here = LocalModels((*chat.folders, *image_folders()), settings.data_dir / "no-cache" if settings.space_id else None)
    seen = Catalog(
        hub,
        here,
        machine=machine,
        kept=DiskCache(settings.data_dir / "hub-cache"),
        strangers=strangers,
    )
    catalog = cast("HubCatalog", ForCaller(seen))
    chat.visitors = catalog
    images.visitors = lambda repo_id, revision: catalog.resolve(repo_id, revision)
    store = build_feedback(
        settings.data_dir,
        dataset=settings.dataset,
        token=settings.token,
        endpoint=settings.endpoint,
        public=settings.dataset_public,
        commit_seconds=settings.commit_seconds,
        consent=settings.consent,
        journal=settings.journal,
        space_id=settings.space_id,
        warnings=missing(
            settings.space_id,
            settings.dataset,
            token=bool(settings.token),
            secret=bool(settings.secret),
            sign_in=bool(settings.oauth or settings.auth),
        ),
    )
    secret = settings.secret or secret_of(settings.data_dir)
    return Services(
        access=build_access(settings, secret),
        catalog=catalog,
        router=chat,
        store=store,
        secret=secret,
        rubric=rubric_of(settings.rubric),
        gold=gold_of(settings.gold),
        endpoint=settings.endpoint,
        local_models=tuple(folder.ref.repo_id for folder in chat.folders),
        images=images,
        pictures=SqlitePictures(settings.data_dir / "pictures", settings.gallery_limit),
        remote=chat.remote,
        conversations=SqliteConversations(settings.data_dir),
        attached=attached,
        # On a Space anybody may come by: nobody there makes room in the cache.
        cache=None if settings.space_id else CacheFolder(pinned=lambda: _commits_in_use(chat)),
        evidence=EvidenceOf(
            store,
            lambda: _dataset_of(store),
            LocalFacts(chat.catalog.search, dict(settings.prices)),
            hub=HubExports(token=settings.token, endpoint=settings.endpoint) if settings.dataset else None,
            destination=lambda view: f"{settings.dataset}-{view}",
        ),
        details=cast("CardDetails", ForCaller(Details(seen, hub, here))),
        repos=cast("RepoDetails", ForCaller(RepoCards(hub, token=False if strangers else settings.token))),
    )


def build_access(settings: Settings, secret: str) -> Access:
    """Who may do what, from the settings; raises `UserInputError` for a password file that cannot be read."""
    oauth = None
    if settings.oauth:
        client_id, client_secret, scopes, provider = settings.oauth
        oauth = OAuthClient(client_id, client_secret, scopes, provider, next(iter(settings.space_hosts), ""))
    entries = read_entries(settings.auth)
    audit = SqliteAudit(settings.data_dir / "audit.sqlite", settings.journal)
    before = (entry.detail for entry in audit.of(CHANGED_SETTING))
    for change in changed_settings(before, settings.given, secret):
        audit.add(Entry(0, "", "the operator", Role.ADMIN.title, "settings", CHANGED_SETTING, change))
    return Access(
        open=settings.open,
        sign_in=AccountsOf(settings.grants, secret, entries, oauth, settings.endpoint),
        audit=audit,
        limits=settings.limits,
        book=None if settings.open else SqliteUsage(settings.data_dir / "usage.sqlite"),
        proxies=settings.proxies,
        hosts=settings.space_hosts,
        on_space=bool(settings.space_id),
        on_loopback=is_loopback(settings.host),
        secret=secret,
    )


def _dataset_of(store: FeedbackStore) -> tuple[str, str | None]:
    status = store.status()
    return status.dataset, status.last_commit


def place_models(services: Services) -> None:
    """Fetch the start models and put them on the GPU. On ZeroGPU before launch: every worker inherits what is placed then."""
    services.router.place(services.router.start_model())
    if services.images is not None:
        services.images.place(services.images.start_model())


def _commits_in_use(router: ChatRouter) -> tuple[str, ...]:
    try:
        return (router.start_model().revision,)
    except AppError:
        return ()


def build(services: Services) -> gr.Blocks:
    """The whole page, from services alone; tests hand in their own."""
    access = services.access or Access()
    if services.access:
        images_router = metered_images(services.images, access) if services.images else None
        services = replace(services, router=metered_chat(services.router, access), images=images_router)
    router, catalog, store = services.router, services.catalog, services.store
    frame = Frame(router, store)
    search = SearchPage(catalog)
    shortlist = ShortlistPage(catalog)
    machine = MachinePage(services.cache) if services.cache else None
    compare = ComparePage(catalog, services.details)
    card = CardPage(catalog, router, services.endpoint, services.images, services.details, services.repos)
    take = metered_take(services.attached, access)
    chat = ChatPage(
        router, store, services.secret, services.conversations, services.rubric, pictures=services.attached, take=take
    )
    battle = BattlePage(
        router,
        store,
        services.secret,
        services.local_models,
        services.rubric,
        services.gold,
        pictures=services.attached,
    )
    adapter = AdapterPage(router)
    gallery = GalleryPage(services.pictures, services.secret) if services.pictures else None
    images = (
        ImagesPage(services.images, catalog, *((gallery.keep, gallery.lookup, IMAGE_MODES) if gallery else ()))
        if services.images
        else None
    )
    grid = None
    if services.images and images and services.pictures:
        grid = GridPage(images, services.images, services.pictures, services.secret)
    best = BestPage(store, services.secret)
    image_battle = (
        ImageBattlePage(services.images, store, services.secret, images.keep) if services.images and images else None
    )
    feedback = FeedbackPage(store, services.secret)
    capture = CapturePage(store, services.secret, services.pictures)
    consent = ConsentPanel(store, services.secret)
    evidence = EvidencePage(services.evidence) if services.evidence else None
    exports = ExportPage(services.evidence) if services.evidence else None
    remote = RemotePage(router, services.remote, services.local_models) if services.remote else None
    with gr.Blocks(title=TITLE, fill_width=True, delete_cache=(3600, 86_400)) as demo:
        with gr.Row(elem_id="header"):
            brand = gr.HTML(f"<span>{TITLE}</span>", elem_id="brand", js_on_load=ON_POPSTATE)
            pinned_chip = gr.HTML(chip(None), elem_id="chip", js_on_load=None)
            outbox = gr.HTML("", elem_id="outbox-badge", js_on_load=ON_WAITING)
            if services.access:
                who()
        notice = gr.HTML("", elem_id="notice", js_on_load=None)
        consent_view = consent.build()
        with gr.Tabs(elem_id="tabs", selected="search") as tabs:
            with gr.Tab("Search", id="search"):
                search_view = search.build()
                with search_view.below:
                    shortlist_view = shortlist.build()
                    machine_view = machine.build() if machine else None
                compare_view = compare.build()
            with gr.Tab("Card", id="card"):
                card_view = card.build()
            with gr.Tab("Chat", id="chat"):
                remote_view = remote.build() if remote else None
                chat_view = chat.build()
                with chat_view.left:
                    battle_view = battle.build()
                with chat_view.settings.aside:
                    adapter_view = adapter.build()
            # Built always, so that the order of the tabs and their addresses never change; shown when something draws.
            with gr.Tab("Images", id="images", visible=services.images is not None):
                images_view = images.build() if images else None
                if images_view and image_battle:
                    with images_view.left:
                        image_battle_view = image_battle.build()
                        grid_view = grid.build() if grid else None
                        gallery_view = gallery.build() if gallery else None
                    with images_view.after_stage:
                        best_view = best.build()
            with gr.Tab("Feedback", id="feedback") as feedback_tab, gr.Tabs(elem_id="feedback-tabs"):
                with gr.Tab("Rows", id="rows"):
                    feedback_view = feedback.build()
                with feedback_view.aside:
                    capture_view = capture.build()
                evidence_view = evidence.build() if evidence else None
                export_view = exports.build() if exports else None
        shared = Shared(
            tabs=tabs,
            pinned=gr.State(None),
            opened=gr.State(Address()),
            # Only a random id; gradio sends this secret to the browser, so it must not be the one that salts pseudonyms.
            visitor=gr.BrowserState("", storage_key="proving-visitor", secret="proving-visitor"),  # noqa: S106
            brand=brand,
            chip=pinned_chip,
            notice=notice,
            outbox=outbox,
            address=gr.Textbox(visible="hidden", elem_id="address", label="Address"),
            image_model=gr.State(None),
            images_mode=images_view.mode if images_view else gr.State(""),
            searched=gr.State(""),
            shortlist=gr.BrowserState([], storage_key="proving-shortlist", secret="proving-shortlist"),  # noqa: S106
        )
        frame.wire(demo, shared)
        search.wire(search_view, shared, demo)
        shortlist.wire(shortlist_view, search_view, shared, demo)
        compare.wire(compare_view, search_view, shortlist_view, chat_view, battle_view, shared, demo)
        compare.wire_card(compare_view, search_view, card_view, shared)
        if machine and machine_view:
            machine.wire(machine_view)
        SearchApi(catalog).wire()
        card.wire(card_view, shared)
        chat.wire(chat_view, shared)
        battle.wire(battle_view, chat_view, shared)
        adapter.wire(adapter_view, chat_view.settings.aside, shared)
        if remote and remote_view:
            remote.wire(remote_view, chat_view, battle_view, shared, demo)
        ChatApi(router, take).wire()
        if services.images and images and image_battle and images_view:
            images.wire(images_view, shared, demo)
            ImagesApi(services.images).wire()
            best.wire(best_view, images_view, shared)
            image_battle.wire(image_battle_view, images_view, shared, demo)
            compare.wire_images(compare_view, images_view, image_battle_view, shared)
            if grid and grid_view and gallery and gallery_view:
                grid.wire(grid_view, images_view, shared)
                gallery.wire(gallery_view, images_view, shared)
        consent.wire(consent_view, shared, demo)
        feedback.wire(feedback_view, shared, feedback_tab)
        capture.wire(capture_view, chat_view, shared, feedback_tab)
        FeedbackApi(router, store).wire()
        if evidence and evidence_view:
            evidence.wire(evidence_view)
        if exports and export_view:
            exports.wire(export_view)
    most_waiting = access.limits.queue.all
    demo.queue(max_size=int(most_waiting) if most_waiting < 10_000 else 200, default_concurrency_limit=8)
    calm(demo)
    part(demo)
    unmark(demo)
    guard(demo, RULES, access, shared.visitor)
    return demo


def calm(demo: gr.Blocks) -> None:
    """Let gradio's queue look for new events a hundred times a second, and for progress ten times.

    By itself it looks a thousand times, all day long, and each look takes the interpreter from the model.
    """
    demo._queue.sleep_when_free = 0.01
    demo._queue.progress_update_sleep_when_free = 0.1


def launch(
    demo: gr.Blocks, settings: Settings, *, block: bool = True, access: Access | None = None
) -> tuple[object, str, str]:
    """Serve `demo` behind the gate of `access`; the run history stays off because it would keep prompts in the browser."""
    access = access or Access()
    on_space = bool(settings.space_id)
    # uvicorn would believe whoever comes from this machine about whom they come for; the gate knows whom to believe.
    os.environ["FORWARDED_ALLOW_IPS"] = ""
    launched = demo.launch(
        server_name=settings.host,
        server_port=settings.port or None,
        share=settings.share,
        theme=theme(),
        css_paths=[STYLESHEET, CARD_STYLESHEET, CHAT_STYLESHEET],
        head=head(settings.endpoint),
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=True,
        max_file_size="20mb",
        # A stream takes a thread while it waits for its next words. With the usual 40, as many people who wait for an
        # answer would stop every other click.
        max_threads=200,
        prevent_thread_lock=True,
        quiet=not block,
        app_kwargs={
            "middleware": [
                Middleware(WithHeaders, added=headers(on_space=on_space)),
                Middleware(WithPolicy, endpoint=settings.endpoint, on_space=on_space),
                Middleware(Gate, access=access),
                Middleware(WithAssets),
            ]
        },
    )
    let_through(demo, access)
    lighten(demo)
    if block:
        demo.block_thread()
    return launched


def main() -> int:
    """Start the app from the environment; a setting that is wrong ends it with one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_env(os.environ)
        services = build_services(settings)
        if settings.zero_gpu:
            place_models(services)
    except AppError as error:
        print(f"Proving Ground cannot start. {error}", file=sys.stderr)
        return 2
    # A container or a Space is stopped with SIGTERM: leave by the same door, so that what waits is sent.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        launch(build(services), settings, access=services.access)
    finally:
        services.store.close()
        if services.pictures:
            services.pictures.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
