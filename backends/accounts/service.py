"""Accounts from every way of signing in, with the role the operator's rules give them."""

from __future__ import annotations

from backends.accounts.hub import OAuthClient, Person, TokenHolders
from backends.accounts.keys import is_key, make_key, user_of
from backends.accounts.passwords import Entry, Passwords
from core.errors import NoBackend
from core.roles import Account, Grants


class AccountsOf:
    """`core.sign_in.SignIn` over a password file, the Hub, or both."""

    def __init__(
        self, grants: Grants, secret: str, entries: tuple[Entry, ...], oauth: OAuthClient | None, endpoint: str
    ) -> None:
        self._grants, self._secret = grants, secret
        self._passwords = Passwords(entries) if entries else None
        self._oauth = oauth
        self._holders = TokenHolders(endpoint) if oauth else None

    @property
    def grants(self) -> Grants:
        """Who has which role."""
        return self._grants

    @property
    def passwords(self) -> bool:
        """Whether there is a password file."""
        return self._passwords is not None

    @property
    def hub(self) -> str:
        """The Hub's address; "" without OAuth."""
        return self._oauth.provider if self._oauth else ""

    def by_password(self, user: str, password: str) -> Account | None:
        """The account, if the password is theirs."""
        entry = self._passwords.check(user, password) if self._passwords else None
        return self._of_entry(entry, "password") if entry else None

    def by_key(self, key: str) -> Account | None:
        """The account of a key made here, or of a Hub token; raises `HubUnreachable`."""
        if self._passwords and (user := user_of(key)):
            entry = self._passwords.entry(user)
            right = is_key(self._secret, key, entry.hashed if entry else "")
            return self._of_entry(entry, "key") if entry and right else None
        if self._holders and key.startswith("hf_"):
            person = self._holders.person(key)
            return self._of_person(person) if person else None
        return None

    def key_of(self, account: Account) -> str:
        """A new key for programs; "" for users of the Hub, whose programs send their Hub token."""
        entry = self._passwords.entry(account.user) if self._passwords and account.how == "password" else None
        return make_key(self._secret, entry.user, entry.hashed) if entry else ""

    def hub_address(self, state: str, challenge: str) -> str:
        """Where the browser goes to sign in at the Hub."""
        return self._client().address(state, challenge)

    def by_hub(self, code: str, verifier: str) -> Account:
        """The account behind what the Hub sent back; raises `AppError`."""
        return self._of_person(self._client().person(code, verifier))

    def _client(self) -> OAuthClient:
        if self._oauth is None:
            raise NoBackend("The Hub does not sign anybody in here. Set hf_oauth: true in the Space's README.")
        return self._oauth

    def _of_entry(self, entry: Entry, how: str) -> Account:
        role = self._grants.of(entry.user, entry.orgs, entry.role)
        return Account(role, entry.user, entry.user, entry.orgs, how)

    def _of_person(self, person: Person) -> Account:
        role = self._grants.of(person.user, person.orgs)
        return Account(role, person.user, person.name, person.orgs, "huggingface", token=person.token)
