"""Who may call which handler: every event of every page and every endpoint of the API has its line here, or nothing starts.

Hiding a button is no check, and neither is leaving an endpoint out of the listing: this table is asked before each call
(components/guard.py), whoever makes it. Whether a model may be fetched, and how much may be asked for, is decided where
engines are asked (components/metered.py).
"""

from __future__ import annotations

from components.guard import Rule
from core.roles import Role

# Looking at things, trying models, and what is kept in the visitor's own browser or gallery.
VISITOR = """
: follow
Frame: arrive describe go_back leave_for news outbox_line
SearchPage: arrive drop fill_in find follow go_on linked measure open
SearchApi: search_models
ShortlistPage: decide export lock open pin show take_in
ComparePage: arrive compare compare_card follow hand_over hand_to_images leave
MachinePage: plan show
CardPage: fold fold_open look_further open show
CardApi: model_card
RepoPages: paper rows
UseModel: use
AskedParts: difference header history people sheet template
ChatPage: around clear regenerate send send_example stop
ChatApi: chat
Acts: act ask
AttachPage: change shown
KeptPage: manage open
PresetsPage: arrive choose
SettingsPage: controls
AdapterPage: choose follow hold
RemotePage: choose follow offer
BattlePage: ask_listed compare limit read_list retry stop switch
SetupPage: choose handed
ImagesPage: cancel clear draw example follow leave place price start_from stop
ImagesPage.wire.<locals>: <lambda>
ImagesApi: generate_image
ControlsPanel: choose fit fit_seed speed
AdaptersPanel: offer rows
AdaptersPanel.wire.<locals>: <lambda>
AxesPanel: choose_kind
ContendersPanel: offer offer_loras price
RecipePanel: choose read remix use_all use_seed use_source
SourcePanel: look painted read removed
ImageBattlePage: compare leave stop switch
GridPage: close draw enter estimate open resume save_sheet save_table stop
GalleryPage: again ask ask_one close compare delete enter find mark mark_all mark_none newer older open pack send spare
GalleryPage: star star_opened
BestPage: mark offer
CapturePage: compare offer pick pick_picture slide switch
CapturePage.wire.<locals>: <lambda>
ConsentPanel: show
FeedbackPage: about_me filter keep_current my_name rows show_more top
FeedbackPage.wire.<locals>: <lambda>
FeedbackApi: feedback_status
EvidencePage: agree choices clear cleared_choices leaderboard rank
"""

# Saying what is better, under one's own name; changing it and taking it back.
REVIEWER = """
ConsentPanel: agree
ChatPage: rate
Acts: judge
BattlePage: vote_cast void
ImageBattlePage: vote
BestPage: save
CapturePage: capture
FeedbackPage: act
"""

# What others will ask about. The numbers are the inputs that the audit log names.
AUDITED: dict[str, Rule] = {
    "AdapterPage.fetch": Rule(Role.CURATOR, "fetched an adapter", (0, 1)),
    "AdaptersPanel.add": Rule(Role.CURATOR, "fetched an adapter", (0, 1)),
    "ExportPage.export": Rule(Role.CURATOR, "exported", (0, 1)),
    "ExportPage.push": Rule(Role.CURATOR, "published an export", (0, 1, 4)),
    "FeedbackPage.upload": Rule(Role.CURATOR, "uploaded what waits"),
    "FeedbackPage.withdraw_all": Rule(Role.REVIEWER, "withdrew all their rows"),
    "FeedbackPage.rename": Rule(Role.REVIEWER, "changed their name"),
    "FeedbackPage.publish": Rule(Role.ADMIN, "approved the public dataset"),
    "MachinePage.free": Rule(Role.ADMIN, "freed disk space"),
    # A program says for whom it rates; where people sign in that is whoever calls.
    "FeedbackApi.submit_preference": Rule(Role.REVIEWER, rater=7),
    "FeedbackApi.submit_rating": Rule(Role.REVIEWER, rater=6),
}


def _table(text: str, role: Role) -> dict[str, Rule]:
    lines = [line.rpartition(": ") for line in text.strip().splitlines()]
    return {f"{page}.{name}".lstrip("."): Rule(role) for page, _, names in lines for name in names.split()}


RULES: dict[str, Rule] = {**_table(VISITOR, Role.VISITOR), **_table(REVIEWER, Role.REVIEWER), **AUDITED}
