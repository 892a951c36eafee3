"""Every setting of the app, read from one mapping in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.errors import UserInputError
from core.limits import WITHOUT, Limits, read_limits
from core.origins import PRIVATE, Proxies, is_loopback, read_proxies
from core.refs import check_repo_id
from core.roles import Grants, read_grants
from core.text_safety import ACTIONS, Action

DEFAULT_ENDPOINT = "https://huggingface.co"
EVERY_ADDRESS = "0.0.0.0"  # noqa: S104  (a Space is reached from outside its container)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: what README's table says of it."""

    name: str
    default: str
    meaning: str


# Values that nobody may read: never a variable of a Space, never in a log.
SECRETS = ("HF_TOKEN", "PROVING_SECRET", "PROVING_AUTH", "PROVING_REMOTE_TOKEN", "PROVING_REMOTE_IMAGE_TOKEN")
VARIABLES: tuple[Variable, ...] = (
    Variable("HF_TOKEN", "", "Hub token; else the one a login stored. Needed only for gated models and a Hub dataset."),
    Variable("HF_ENDPOINT", DEFAULT_ENDPOINT, "Where the Hub is."),
    Variable("HF_HOME", "~/.cache/huggingface", "Where downloaded models are cached."),
    Variable(
        "PROVING_DATA_DIR",
        "./data",
        "Votes (SQLite), the folder dataset, prepared models, pins, LoRAs and ControlNets of your own (`adapters/`). Local disk.",
    ),
    Variable(
        "PROVING_DATASET", "", "Hub dataset repo id for the feedback; empty: the folder `dataset/` in the data folder."
    ),
    Variable(
        "PROVING_DATASET_PUBLIC",
        "0",
        "1: `PROVING_DATASET` may be public; somebody has to look at the first rows on the page before they leave.",
    ),
    Variable(
        "PROVING_JOURNAL",
        "",
        "Folder on a bucket or volume: every vote is there before it counts as saved, the audit log too; a new disk starts from it.",
    ),
    Variable("PROVING_COMMIT_SECONDS", "60", "Seconds between two commits to the Hub dataset, unless Upload now."),
    Variable(
        "PROVING_CONSENT",
        "",
        "What reviewers agree to before their first vote: the text itself, or a file that ends in .txt or .md.",
    ),
    Variable(
        "PROVING_CHAT_MODEL",
        "",
        "Model at start: repo id[@revision], a local folder, or `remote:name`; empty: the bundled one.",
    ),
    Variable(
        "PROVING_IMAGE_MODEL",
        "",
        "Image model at start: repo id[@revision], a local folder, or `remote:name`; empty: the bundled one.",
    ),
    Variable("PROVING_LOCAL_ONLY", "0", "1: no prompt ever leaves this machine; every remote engine is refused."),
    Variable(
        "PROVING_ALLOW_PICKLE",
        "0",
        "1: chat models whose weights exist only as pickle are loaded too; logged, and shown on the chip. Not on ZeroGPU.",
    ),
    Variable(
        "PROVING_REMOTE_URL",
        "",
        "Remote chat engine: URL of an OpenAI-compatible server, or an Inference Provider's name. Offered, never fallen "
        "back to.",
    ),
    Variable(
        "PROVING_PRICES",
        "",
        "What remote models cost, shown beside their rating: `model=price; model=price`, each price in your own words.",
    ),
    Variable("PROVING_REMOTE_TOKEN", "", "Key for that engine. `HF_TOKEN` is never sent there."),
    Variable(
        "PROVING_REMOTE_IMAGE_URL",
        "",
        "Remote image engine: URL of an Inference Endpoint for text to image, or an Inference Provider's name.",
    ),
    Variable("PROVING_REMOTE_IMAGE_TOKEN", "", "Key for that engine."),
    Variable(
        "PROVING_PROMPT_FILTER",
        "",
        "Text file of what image prompts may not say: a word or phrase a line, or a regular expression between slashes.",
    ),
    Variable(
        "PROVING_IMAGE_CLASSIFIER",
        "",
        "Image classifier that sees every picture first: repo id[@revision] or a local folder; empty: none.",
    ),
    Variable(
        "PROVING_IMAGE_CLASSIFIER_LABELS",
        "",
        "Labels that block a picture, parted by commas; empty: all but normal, safe, sfw, neutral, drawing, clean, ok.",
    ),
    Variable(
        "PROVING_IMAGE_CLASSIFIER_THRESHOLD", "0.5", "From which share (0 to 1) of those labels a picture is blocked."
    ),
    Variable(
        "PROVING_TEXT_FILTER",
        "",
        "Text file of what prompts and answers may not say: a word or phrase a line, or a regular expression between slashes.",
    ),
    Variable(
        "PROVING_TEXT_CLASSIFIER",
        "",
        "Text classifier that looks at every prompt and answer: repo id[@revision] or a local folder; empty: none.",
    ),
    Variable(
        "PROVING_TEXT_CLASSIFIER_LABELS",
        "",
        "Labels that object to a text, parted by commas; empty: all but those named harmless, such as safe or neutral.",
    ),
    Variable(
        "PROVING_TEXT_CLASSIFIER_THRESHOLD", "0.5", "From which share (0 to 1) of those labels a text is objected to."
    ),
    Variable(
        "PROVING_TEXT_ACTION",
        "flag",
        "What happens to such a text: flag shows it with a sentence, withhold does not show it. Both keep the verdict.",
    ),
    Variable(
        "PROVING_RUBRIC",
        "",
        "JSON file with the questions (at most five) and reasons asked beside a vote; empty: the four that come with the app.",
    ),
    Variable(
        "PROVING_GOLD",
        "",
        "CSV or JSONL file of prompts whose answer is known (prompt, gold): how often reviewers are right, under Agreement.",
    ),
    Variable(
        "PROVING_SECRET", "", "Salts pseudonyms; empty: made in the data folder, and pseudonyms end with that disk."
    ),
    Variable(
        "PROVING_AUTH",
        "",
        "Who signs in with a password: a file with user:hash[:role] in each line, or that itself. "
        "`python -m backends.accounts USER` makes one.",
    ),
    Variable(
        "PROVING_ROLES",
        "",
        "Who may do what: `alice=admin; @team=curator; signed-in=reviewer; anonymous=visitor`, or `anonymous=nobody`.",
    ),
    Variable(
        "PROVING_LIMITS",
        "",
        "Most for one visitor / for all: `requests=300/6000; running=4/16; queue=24/200; tokens=40000/1000000; "
        "pixels=2000/40000; upload=200/5000`, or `off`.",
    ),
    Variable(
        "PROVING_TRUSTED_PROXY",
        "",
        "Whose forwarded headers count, and which of them name the user: `10.0.0.7 user=X-Forwarded-User "
        "groups=X-Forwarded-Groups`.",
    ),
    Variable("PROVING_GALLERY_LIMIT", "500", "Pictures kept on disk for each visitor of the Images tab; 0 keeps none."),
    Variable("PROVING_ORPHAN_SECONDS", "30", "How long an answer goes on after its page is gone."),
    Variable(
        "GRADIO_SERVER_NAME",
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 on a Space and in the container. Reached from elsewhere, the app asks who comes.",
    ),
    Variable("PORT", "7860", "Port to listen on."),
    Variable("SHARE", "0", "1: opens gradio's public link for a while; refused unless sign-in is configured."),
)

# Set by the Hub for a Space with `hf_oauth: true`; no operator writes them.
OAUTH = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings. `from_env` is pure; only app.py hands it the real environment."""

    data_dir: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = None
    dataset: str = ""
    dataset_public: bool = False
    journal: Path | None = None
    commit_seconds: float = 60.0
    consent: str = ""
    chat_model: str = ""
    image_model: str = ""
    local_only: bool = False
    allow_pickle: bool = False
    remote_url: str = ""
    remote_token: str = ""
    remote_image_url: str = ""
    remote_image_token: str = ""
    prices: tuple[tuple[str, str], ...] = ()
    secret: str = ""
    orphan_seconds: float = 30.0
    prompt_filter: str = ""
    image_classifier: str = ""
    image_classifier_labels: tuple[str, ...] = ()
    image_classifier_threshold: float = 0.5
    gallery_limit: int = 500
    text_filter: str = ""
    text_classifier: str = ""
    text_classifier_labels: tuple[str, ...] = ()
    text_classifier_threshold: float = 0.5
    text_action: Action = "flag"
    rubric: str = ""
    gold: str = ""
    port: int = 7860
    share: bool = False
    host: str = "127.0.0.1"
    space_id: str | None = None
    zero_gpu: bool = False
    auth: str = ""
    open: bool = True
    grants: Grants = field(default_factory=Grants)
    limits: Limits = WITHOUT
    proxies: Proxies = field(default_factory=Proxies)
    oauth: tuple[str, ...] = ()
    space_hosts: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    """The variables that were set, as they were; for the audit log, which says what changed since the last start."""

    @property
    def asks_who(self) -> bool:
        """Whether there is a way to sign in."""
        return bool(self.auth or self.oauth or self.proxies.user_header)

    def __repr__(self) -> str:
        # The dataclass default would put the token and the secret into any log that shows settings.
        return f"Settings(data_dir={str(self.data_dir)!r}, dataset={self.dataset!r}, chat_model={self.chat_model!r})"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Settings:
        """Read the variables of README's table; raises `UserInputError` naming the one that is wrong."""
        known = {variable.name for variable in VARIABLES}
        for name in sorted(env):
            if name.startswith("PROVING_") and name not in known:
                raise UserInputError(f"{name} is not a setting. README.md, Configuration, lists them all.")
        dataset = env.get("PROVING_DATASET", "").strip()
        if dataset:
            try:
                check_repo_id(dataset)
            except UserInputError as error:
                raise UserInputError(f"PROVING_DATASET: {error}") from error
            if "/" not in dataset:
                raise UserInputError("PROVING_DATASET has to name its owner too: owner/name.")
        space_id = env.get("SPACE_ID") or None
        host = env.get("GRADIO_SERVER_NAME") or (EVERY_ADDRESS if space_id else "127.0.0.1")
        auth, roles, limits = (env.get(f"PROVING_{name}", "").strip() for name in ("AUTH", "ROLES", "LIMITS"))
        proxies = read_proxies(env.get("PROVING_TRUSTED_PROXY", ""))
        if space_id and proxies.user_header:
            # The platform's own proxies hand on whatever header a visitor sends.
            raise UserInputError(
                "PROVING_TRUSTED_PROXY names a header with the user, which anybody can send to a Space. There people sign in "
                "with the Hub: take user= and groups= out."
            )
        # Nothing said and nobody from elsewhere: whoever reaches this address is the machine's own user.
        is_open = is_loopback(host) and not (space_id or auth or roles or proxies.networks)
        return cls(
            data_dir=Path(env.get("PROVING_DATA_DIR") or "data").expanduser().resolve(),
            endpoint=(env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"),
            token=env.get("HF_TOKEN") or None,
            # A Space's own disk ends with it.
            dataset=dataset or (f"{space_id}-feedback" if space_id else ""),
            dataset_public=_switch("PROVING_DATASET_PUBLIC", env),
            journal=Path(env["PROVING_JOURNAL"]).expanduser().resolve() if env.get("PROVING_JOURNAL") else None,
            commit_seconds=_number("PROVING_COMMIT_SECONDS", env, 60, 0, 86_400),
            consent=env.get("PROVING_CONSENT", "").strip(),
            chat_model=env.get("PROVING_CHAT_MODEL", "").strip(),
            image_model=env.get("PROVING_IMAGE_MODEL", "").strip(),
            local_only=_switch("PROVING_LOCAL_ONLY", env),
            allow_pickle=_switch("PROVING_ALLOW_PICKLE", env),
            remote_url=env.get("PROVING_REMOTE_URL", "").strip(),
            remote_token=env.get("PROVING_REMOTE_TOKEN", "").strip(),
            remote_image_url=env.get("PROVING_REMOTE_IMAGE_URL", "").strip(),
            remote_image_token=env.get("PROVING_REMOTE_IMAGE_TOKEN", "").strip(),
            prices=_prices(env.get("PROVING_PRICES", "")),
            secret=env.get("PROVING_SECRET", ""),
            prompt_filter=env.get("PROVING_PROMPT_FILTER", "").strip(),
            image_classifier=env.get("PROVING_IMAGE_CLASSIFIER", "").strip(),
            image_classifier_labels=_labels(env.get("PROVING_IMAGE_CLASSIFIER_LABELS", "")),
            image_classifier_threshold=_number("PROVING_IMAGE_CLASSIFIER_THRESHOLD", env, 0.5, 0.01, 1),
            text_filter=env.get("PROVING_TEXT_FILTER", "").strip(),
            text_classifier=env.get("PROVING_TEXT_CLASSIFIER", "").strip(),
            text_classifier_labels=_labels(env.get("PROVING_TEXT_CLASSIFIER_LABELS", "")),
            text_classifier_threshold=_number("PROVING_TEXT_CLASSIFIER_THRESHOLD", env, 0.5, 0.01, 1),
            text_action=_action(env),
            rubric=env.get("PROVING_RUBRIC", "").strip(),
            gold=env.get("PROVING_GOLD", "").strip(),
            orphan_seconds=_number("PROVING_ORPHAN_SECONDS", env, 30, 0, 86_400),
            gallery_limit=int(_number("PROVING_GALLERY_LIMIT", env, 500, 0, 100_000)),
            port=int(_number("PORT", env, 7860, 1, 65_535)),
            share=_share(env, signed_in=bool(auth or all(env.get(name) for name in OAUTH)), space_id=space_id),
            host=host,
            space_id=space_id,
            zero_gpu=on_zero_gpu(env),
            auth=auth,
            open=is_open,
            grants=read_grants(roles, (space_id or "").partition("/")[0]),
            limits=WITHOUT if is_open and not limits else read_limits(limits),
            proxies=replace(proxies, networks=(*proxies.networks, *PRIVATE)) if space_id else proxies,
            oauth=tuple(env[name] for name in OAUTH) if all(env.get(name) for name in OAUTH) else (),
            space_hosts=tuple(part.strip() for part in env.get("SPACE_HOST", "").split(",") if part.strip()),
            given={name: env[name].strip() for name in sorted(known) if env.get(name, "").strip()},
        )


def on_zero_gpu(env: Mapping[str, str]) -> bool:
    """Whether this is a ZeroGPU Space: app.py has to know before it imports anything."""
    return env.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def _share(env: Mapping[str, str], *, signed_in: bool, space_id: str | None) -> bool:
    if not _switch("SHARE", env):
        return False
    if space_id:
        raise UserInputError(
            "SHARE is for a machine of your own: a Space has an address of its own. Unset it to start."
        )
    if not signed_in:
        raise UserInputError(
            "SHARE=1 opens the page to everybody who comes by its address. Configure sign-in first (PROVING_AUTH; "
            "docs/security.md, Who may do what), or unset SHARE."
        )
    return True


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(label.strip().lower() for label in text.split(",") if label.strip()))


def _action(env: Mapping[str, str]) -> Action:
    value = env.get("PROVING_TEXT_ACTION", "").strip().lower() or "flag"
    for action in ACTIONS:
        if value == action:
            return action
    raise UserInputError(f"PROVING_TEXT_ACTION has to be flag or withhold; it is “{value}”.")


def _prices(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for part in filter(None, (part.strip() for part in text.replace("\n", ";").split(";"))):
        model, separator, price = (piece.strip() for piece in part.partition("="))
        if not (model and separator and price):
            raise UserInputError(
                f"PROVING_PRICES: “{part}” is no model=price. Write for example org/model=$0.20 per million tokens; "
                "org/other=$1."
            )
        found.append((model, price))
    return tuple(found)


def _switch(name: str, env: Mapping[str, str]) -> bool:
    value = env.get(name, "").strip().lower()
    if value not in ("", "0", "1", "true", "false"):
        raise UserInputError(f"{name} has to be 0 or 1; it is “{value}”.")
    return value in ("1", "true")


def _number(name: str, env: Mapping[str, str], default: float, low: float, high: float) -> float:
    text = env.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError as error:
        raise UserInputError(f"{name} has to be a number; it is “{text}”.") from error
    if not (low <= value <= high):
        raise UserInputError(f"{name} has to be between {low:g} and {high:g}; it is {text}.")
    return value
