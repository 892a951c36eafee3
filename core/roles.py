"""Who somebody is and what they may do: roles, accounts, and the rules that give one to the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from core.errors import UserInputError


class Role(IntEnum):
    """Each may do what those below may. `NOBODY` may do nothing but sign in."""

    NOBODY = 0
    VISITOR = 1
    REVIEWER = 2
    CURATOR = 3
    ADMIN = 4

    @property
    def title(self) -> str:
        """As people read it."""
        return self.name.lower()


MAY = {
    Role.VISITOR: "search, read cards and try models within the limits",
    Role.REVIEWER: "vote and write rows, change and withdraw their own",
    Role.CURATOR: "fetch models, export, publish, and withdraw rows of others",
    Role.ADMIN: "free disk space, approve the dataset, and read the audit log",
}

USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
SIGNED_IN = "signed-in"
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who asks for something. `user` is "" for a person who has not signed in.

    `how`: open, anonymous, password, huggingface, proxy or key. `address` is where the request came from. `token` is the
    Hub token they signed in with, for their own requests only; it is in no repr.
    """

    role: Role
    user: str = ""
    name: str = ""
    orgs: tuple[str, ...] = ()
    how: str = ANONYMOUS
    address: str = ""
    token: str = field(default="", repr=False)

    @property
    def key(self) -> str:
        """Whom limits count: the user where there is one, else the address."""
        # The way of signing in belongs to it: a name of the password file is not the same name at the Hub.
        return f"{self.how.replace('key', 'password')}:{self.user}" if self.user else f"address:{self.address}"

    @property
    def who(self) -> str:
        """As the audit log names them."""
        return self.user or (f"anonymous at {self.address}" if self.address else "anonymous")


OPEN = Account(Role.ADMIN, how="open")


@dataclass(frozen=True, slots=True)
class Grants:
    """Which role a user has: the highest of those given to the name, to an organisation, and to everybody signed in."""

    users: Mapping[str, Role] = field(default_factory=dict)
    orgs: Mapping[str, Role] = field(default_factory=dict)
    signed_in: Role = Role.REVIEWER
    anonymous: Role = Role.VISITOR

    def of(self, user: str, orgs: tuple[str, ...] = (), own: Role = Role.NOBODY) -> Role:
        """The role of `user`; "" is anonymous. `own` is what the password file gives them."""
        if not user:
            return self.anonymous
        # The Hub's names differ by more than case, but never by case alone.
        given = [self.users.get(user.lower(), Role.NOBODY), *(self.orgs.get(org.lower(), Role.NOBODY) for org in orgs)]
        return max(self.signed_in, self.anonymous, own, *given)


def read_grants(text: str, owner: str = "") -> Grants:
    """Read PROVING_ROLES: `who=role` parted by commas, semicolons or lines; raises `UserInputError`.

    `who` is a user, `@organisation`, `signed-in` or `anonymous`. `owner` is the Space's, who is admin of it.
    """
    users: dict[str, Role] = {owner.lower(): Role.ADMIN} if owner else {}
    orgs: dict[str, Role] = {}
    everybody = {SIGNED_IN: Role.REVIEWER, ANONYMOUS: Role.VISITOR}
    for part in filter(None, (piece.strip() for piece in re.split(r"[,;\n]", text))):
        who, separator, title = (piece.strip() for piece in part.partition("="))
        role = role_named(title) if separator else None
        if role is None or not USER.fullmatch(who.removeprefix("@")):
            raise UserInputError(
                f"PROVING_ROLES: “{part}” is no who=role. Write for example alice=admin; @team=curator; "
                "signed-in=reviewer; anonymous=nobody."
            )
        if who in everybody:
            everybody[who] = role
        elif who.startswith("@"):
            orgs[who[1:].lower()] = role
        else:
            users[who.lower()] = role
    if everybody[ANONYMOUS] > Role.REVIEWER:
        raise UserInputError(
            "PROVING_ROLES: strangers who have not signed in can be reviewers at most. Give curator and admin to names."
        )
    return Grants(users, orgs, everybody[SIGNED_IN], everybody[ANONYMOUS])


def role_named(title: str) -> Role | None:
    """The role of that title; None if there is none."""
    return next((role for role in Role if role.title == title.lower()), None)


def refusal(needed: Role, account: Account, *, can_sign_in: bool) -> str:
    """Why this account may not, and what it can do about it."""
    if needed is Role.VISITOR:
        return "This app answers only those who have signed in. Sign in, then try again."
    todo = (
        "Sign in with an account that has it"
        if not account.user and can_sign_in
        else "Ask whoever runs this app for it"
    )
    article = "an" if needed is Role.ADMIN else "a"
    return f"That is for {article} {needed.title} ({MAY[needed]}); here you are {account.role.title}. {todo}."
