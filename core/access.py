"""What to do to get into a gated or private repository: the same sentence wherever one is met."""

from __future__ import annotations

THEN = "then try again signed in as the account that was let in; on a machine of your own, set HF_TOKEN to a token of that account."


def gated_sentence(name: str, link: str) -> str:
    """For a repository whose owner decides who reads it; `link` is its page."""
    return f"The owner of “{name}” asks for access first. Ask for it at {link}, {THEN}"


def missing_sentence(noun: str, name: str, host: str) -> str:
    """For one that is not there, or is not shown: the Hub tells neither which, and so does this."""
    return (
        f"There is no {noun} “{name}” on {host}, or it is private and not shown to the account in use. Check the spelling "
        "(owner/name), or sign in as an account that may see it."
    )
