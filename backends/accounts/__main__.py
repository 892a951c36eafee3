"""Makes a line of the password file: asks for a user and a password, prints `user:hash` and keeps nothing."""

from __future__ import annotations

import argparse
import getpass
import sys

from backends.accounts.passwords import hashed
from core.roles import USER, Role, role_named

SHORTEST = 8


def main(argv: list[str] | None = None) -> int:
    """Ask, and print the line; the password is asked for twice at a terminal, or read from a pipe."""
    parser = argparse.ArgumentParser(
        prog="python -m backends.accounts", description="Make a line for PROVING_AUTH: user:hash[:role]."
    )
    parser.add_argument("user", help="the name to sign in with")
    titles = [role.title for role in Role if role is not Role.NOBODY]
    parser.add_argument("--role", choices=titles, help="what they may do; else what PROVING_ROLES says of them")
    asked = parser.parse_args(argv)
    if not USER.fullmatch(asked.user):
        print("A user has up to 64 letters, digits and . _ @ + -, and begins with a letter or digit.", file=sys.stderr)
        return 2
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("The same again: "):
            print("The two differ. Run it again.", file=sys.stderr)
            return 2
    else:
        password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST:
        print(f"A password has at least {SHORTEST} characters. Run it again with a longer one.", file=sys.stderr)
        return 2
    role = role_named(asked.role) if asked.role else None
    print(f"{asked.user}:{hashed(password)}{f':{role.title}' if role else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
