"""Passwords, keys and the audit log: what is kept, what opens, what ends."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest

from backends.accounts.__main__ import main
from backends.accounts.audit import SqliteAudit
from backends.accounts.keys import is_key, make_key, user_of
from backends.accounts.passwords import COST, Passwords, hashed, matches, read_entries
from backends.accounts.service import AccountsOf
from components.access import Access
from components.sessions import HOURS, MOST_EACH, Sessions
from core.audit import Entry, detail_of
from core.errors import UserInputError
from core.refs import ModelRef
from core.roles import Account, Grants, Role
from core.settings import Settings

CHEAP = 2**12
KEPT = hashed("correct horse", cost=CHEAP)


def test_a_password_is_kept_as_a_hash_that_only_it_opens() -> None:
    assert matches("correct horse", KEPT)
    assert not matches("correct horsf", KEPT)
    assert not matches("", KEPT)
    assert hashed("correct horse", cost=CHEAP) != KEPT
    assert "horse" not in KEPT


def test_the_file_is_read_strictly_and_an_error_shows_no_password(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text(f"# ours\nalice:{KEPT}:admin\n\nbob:{KEPT}::@acme,else\n")
    alice, bob = read_entries(str(file))
    assert (alice.user, alice.role, bob.role, bob.orgs) == ("alice", Role.ADMIN, Role.NOBODY, ("acme", "else"))
    assert KEPT not in repr(alice)
    assert [entry.user for entry in read_entries(f"alice:{KEPT} bob:{KEPT}")] == ["alice", "bob"]
    assert read_entries("") == ()
    for wrong in (
        "alice:hunter2secret",
        f"alice:{KEPT}:king",
        f":{KEPT}",
        f"a:{KEPT} A:{KEPT}",
        str(tmp_path / "none"),
    ):
        with pytest.raises(UserInputError) as refused:
            read_entries(wrong)
        assert "PROVING_AUTH" in str(refused.value)
        assert "hunter2secret" not in str(refused.value)


def test_somebody_who_is_not_there_takes_as_long_as_somebody_who_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(password: str, salt: bytes, cost: int, *rest: int) -> bytes:
        made.append(cost)
        return b"x" * 32

    users = Passwords(read_entries(f"alice:{hashed('correct horse')}"))
    monkeypatch.setattr("backends.accounts.passwords._scrypt", counted)
    for user in ("alice", "nobody"):
        assert users.check(user, "wrong") is None
    assert made == [COST, COST]


def test_the_command_makes_a_line_that_signs_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long password\n"))
    assert main(["carol", "--role", "curator"]) == 0
    [entry] = read_entries(capsys.readouterr().out.strip())
    found = Passwords((entry,)).check("Carol", "a long password")
    assert found is not None
    assert found.role is Role.CURATOR
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["carol"]) == 2


def test_a_key_is_of_one_user_until_it_ends_or_the_password_changes() -> None:
    key = make_key("secret", "alice", KEPT, now=1000)
    assert user_of(key) == "alice"
    assert is_key("secret", key, KEPT, now=1001)
    assert not is_key("secret", key, KEPT, now=1000 + 91 * 86_400)
    assert not is_key("other", key, KEPT, now=1001)
    assert not is_key("secret", key, hashed("new", cost=CHEAP), now=1001)
    assert not is_key("secret", key.replace("pg_", "pg_x"), KEPT, now=1001)
    name, ends, mac = key.split(".")
    assert not is_key("secret", f"{name}.{int(ends) + 1}.{mac}", KEPT, now=1001)
    for wrong in ("", "pg_", "pg_a.b", "pg_%%%.1.2", "hf_abc"):
        assert user_of(wrong) == "" or not is_key("secret", wrong, KEPT)


def test_accounts_have_the_role_of_the_file_and_of_the_rules() -> None:
    accounts = AccountsOf(
        Grants({"bob": Role.CURATOR}, {"acme": Role.ADMIN}),
        "secret",
        read_entries(f"alice:{KEPT}:reviewer bob:{KEPT} carl:{KEPT}::@acme"),
        None,
        "https://hub.example",
    )
    found = {user: accounts.by_password(user, "correct horse") for user in ("alice", "bob", "carl")}
    assert [account.role for account in found.values() if account] == [Role.REVIEWER, Role.CURATOR, Role.ADMIN]
    assert accounts.by_password("alice", "wrong") is None
    assert accounts.by_password("nobody", "correct horse") is None
    alice = found["alice"]
    assert alice is not None
    key = accounts.key_of(alice)
    by_key = accounts.by_key(key)
    assert by_key is not None
    assert (by_key.user, by_key.how, by_key.key) == ("alice", "key", alice.key)
    assert accounts.by_key(key[:-1] + ("0" if key[-1] != "0" else "1")) is None
    # Without the Hub's sign-in a Hub token is nobody's, and is sent nowhere.
    assert accounts.by_key("hf_something") is None
    assert accounts.key_of(by_key) == ""


def test_a_session_ends_and_signing_in_makes_a_new_one() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    planted = "known-to-the-attacker"
    first = sessions.begin(Account(Role.REVIEWER, "alice"), before=planted)
    assert sessions.account(planted) is None
    second = sessions.begin(Account(Role.REVIEWER, "alice"), before=first)
    assert first != second
    assert sessions.account(first) is None
    assert sessions.account(second) is not None
    now[0] = HOURS * 3600 + 1
    assert sessions.account(second) is None
    assert sessions.account("") is None


def test_whoever_signs_in_again_and_again_signs_nobody_else_out() -> None:
    sessions = Sessions()
    alice = sessions.begin(Account(Role.REVIEWER, "alice", how="password"))
    mallory = [sessions.begin(Account(Role.VISITOR, "mallory", how="password")) for _ in range(MOST_EACH + 5)]
    assert sessions.account(alice) is not None
    assert [sessions.account(one) is not None for one in mallory] == [False] * 5 + [True] * MOST_EACH


def test_the_audit_log_can_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    log = SqliteAudit(path)
    for number in range(5):
        log.add(Entry(0, "", "alice", "admin", "password", "pinned", f"org/model{number}"))
    newest = log.newest(2)
    assert [entry.detail for entry in newest] == ["org/model4", "org/model3"]
    assert [entry.detail for entry in log.newest(2, before=newest[-1].number)] == ["org/model2", "org/model1"]
    assert newest[0].at.startswith("20")
    for statement in ("DELETE FROM audit", "UPDATE audit SET who = 'eve'"):
        with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)
        other.close()
    log.close()
    again = SqliteAudit(path)
    assert len(again.newest()) == 5
    again.close()
    assert path.stat().st_mode & 0o077 == 0


def test_the_audit_log_names_models_and_no_secret() -> None:
    told = detail_of(
        (ModelRef("org/model", "c" * 40), "hf_canary123456", ["a", "b"], None, True, {"prompt": "secret"}, 7)
    )
    assert told == f"org/model@{'c' * 40} · … · a, b · 7"
    assert "canary" not in detail_of(("Authorization: Bearer canary-token-1",))
    assert len(detail_of(("x" * 5000,))) <= 200


def test_the_log_says_which_settings_changed_since_the_last_start_and_tells_no_secret(tmp_path: Path) -> None:
    from app import build_access

    def start(**env: str) -> list[str]:
        settings = Settings.from_env({"PROVING_DATA_DIR": str(tmp_path), "PORT": "7861", **env})
        access = build_access(settings, "secret")
        assert access.audit is not None
        said = access.audit.newest()
        access.audit.close()
        assert {(entry.who, entry.action) for entry in said} <= {("the operator", "changed a setting")}
        return [entry.detail for entry in reversed(said)]

    assert start() == []
    first = start(PROVING_LIMITS="off", PROVING_AUTH=f"alice:{KEPT}:admin", HF_TOKEN="hf_canary0123456789")
    assert [one.partition("=")[0] for one in first] == ["HF_TOKEN", "PROVING_AUTH", "PROVING_LIMITS"]
    assert first[2] == "PROVING_LIMITS=off"
    assert "canary" not in str(first) and KEPT[:20] not in str(first)
    again = {"PROVING_LIMITS": "off", "PROVING_AUTH": f"alice:{KEPT}:admin", "HF_TOKEN": "hf_canary0123456789"}
    assert start(**again) == first, "nothing changed"
    # Another password, and the override of a finding: whose weights are pickle.
    again |= {"PROVING_AUTH": f"alice:{hashed('other', cost=CHEAP)}:admin", "PROVING_ALLOW_PICKLE": "1"}
    del again["PROVING_LIMITS"]
    later = start(**again)[3:]
    assert [one.partition("=")[0] for one in later] == ["PROVING_ALLOW_PICKLE", "PROVING_AUTH", "PROVING_LIMITS"]
    assert (later[0], later[2]) == ("PROVING_ALLOW_PICKLE=1", "PROVING_LIMITS=")
    consent = "I agree. " * 60
    [said] = start(**again, PROVING_CONSENT=consent)[6:]
    assert len(said) < 200
    assert len(start(**again, PROVING_CONSENT=consent + "More.")) == 8, "what is cut off counts too"


def test_a_visitors_id_is_the_accounts_and_no_browser_can_claim_it() -> None:
    access = Access(open=False, secret="salt")
    alice, eve = Account(Role.REVIEWER, "alice", how="password"), Account(Role.VISITOR, address="10.0.0.1")
    mine = access.visitor(alice, "what-the-browser-keeps")
    assert mine == access.visitor(alice, "")
    assert mine != access.visitor(Account(Role.REVIEWER, "alice", how="huggingface"), "")
    # Eve has seen the id, or the browser kept it after Alice had signed out.
    assert access.visitor(eve, mine) != mine
    assert access.visitor(eve, "0123456789abcdef") == "0123456789abcdef"
    assert access.rater(alice).startswith("r-")
    assert access.rater(eve) == ""
