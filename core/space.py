"""What a Space goes without, and what that means. `core/settings.py` alone reads its environment."""

from __future__ import annotations


def missing(
    space_id: str | None, dataset: str = "", *, token: bool = False, secret: bool = False, sign_in: bool = False
) -> tuple[str, ...]:
    """A sentence for each thing this Space was started without: a duplicated one has no secrets. Empty elsewhere."""
    if not space_id:
        return ()
    said = []
    if not token:
        said.append(
            f"This Space has no secret HF_TOKEN: nothing is sent to the dataset {dataset}, and gated models do not load. Add "
            "one under Settings, Secrets: a token that may write to that dataset."
        )
    if not secret:
        said.append(
            "This Space has no secret PROVING_SECRET: reviewers get new pseudonyms whenever its container is new. Add any "
            "long random text under Settings, Secrets."
        )
    if not sign_in:
        said.append(
            "Nobody can sign in on this Space, so everybody is a visitor. Put hf_oauth: true into the front matter of its "
            "README.md."
        )
    return tuple(said)
