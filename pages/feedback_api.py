"""The feedback endpoints for programs and agents: the same rows and the same store as the page."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from components.api import expose
from components.errors import shown_to_user
from core.arguments import check_types
from core.capture import messages_of, pair_row, provenance_of
from core.chat_protocols import ChatRouter
from core.dataset import Contender, PreferenceRow, RatingRow
from core.errors import UserInputError
from core.feedback_protocols import FeedbackStore


class FeedbackApi:
    """Saves preferences and ratings that a program sends, and tells where every row is."""

    def __init__(self, router: ChatRouter, store: FeedbackStore) -> None:
        self.router, self.store = router, store

    def wire(self) -> None:
        """Register the endpoints; inside a `gr.Blocks`."""
        for endpoint in (self.submit_preference, self.submit_rating, self.feedback_status):
            expose(endpoint, concurrency_limit=16)

    def submit_preference(
        self,
        prompt: str | list[dict[str, str]],
        chosen: str | list[dict[str, str]],
        rejected: str | list[dict[str, str]],
        chosen_model: str = "",
        rejected_model: str = "",
        reasons: list[str] = [],  # noqa: B006  (never written to; gradio shows the default to callers)
        comment: str = "",
        rater: str = "",
        id: str = "",
        consent_version: str = "",
    ) -> dict[str, Any]:
        """Save a preference between two answers. Returns {id, state}; state "saved" means it is on disk.

        Args:
            prompt: Text, or a list of {role, content} that ends with the user's turn.
            chosen: The better answer: text, or a list with the assistant's turn.
            rejected: The other answer.
            chosen_model: repo_id or repo_id@revision that made the better answer; without a revision it is resolved.
            rejected_model: The same for the other answer.
            reasons: Short reasons.
            comment: Free text.
            rater: Who says so. Counts because there is no sign-in.
            id: A UUID of your own: the same call twice is then one row.
            consent_version: The consent text the reviewer agreed to, where feedback_status names one.
        """
        with shown_to_user():
            check_types(
                text={
                    "chosen_model": chosen_model, "rejected_model": rejected_model, "comment": comment, "rater": rater,
                    "id": id, "consent_version": consent_version,
                },
                texts={"reasons": reasons},
            )  # fmt: skip
            row = pair_row(
                prompt=messages_of(prompt, "user", "prompt"),
                chosen=messages_of(chosen, "assistant", "chosen"),
                rejected=messages_of(rejected, "assistant", "rejected"),
                makers=(self._maker(chosen_model), self._maker(rejected_model)),
                provenance=provenance_of(
                    source="api", comment=comment, reasons=reasons, rater=rater, row_id=id, consent=consent_version
                ),
            )
            return self._kept(row)

    def submit_rating(
        self,
        prompt: str | list[dict[str, str]],
        completion: str | list[dict[str, str]],
        label: bool,
        model: str = "",
        reasons: list[str] = [],  # noqa: B006
        comment: str = "",
        rater: str = "",
        id: str = "",
        consent_version: str = "",
    ) -> dict[str, Any]:
        """Save a thumb on one answer. Returns {id, state}; state "saved" means it is on disk.

        Args:
            prompt: Text, or a list of {role, content} that ends with the user's turn.
            completion: The answer: text, or a list with the assistant's turn.
            label: true is good, false is bad.
            model: repo_id or repo_id@revision that made the answer; without a revision it is resolved.
            reasons: Short reasons.
            comment: Free text.
            rater: Who says so. Counts because there is no sign-in.
            id: A UUID of your own: the same call twice is then one row.
            consent_version: The consent text the reviewer agreed to, where feedback_status names one.
        """
        with shown_to_user():
            if not isinstance(label, bool):
                raise UserInputError("label has to be true or false.")
            check_types(
                text={
                    "model": model, "comment": comment, "rater": rater, "id": id, "consent_version": consent_version,
                },
                texts={"reasons": reasons},
            )  # fmt: skip
            row = RatingRow(
                provenance_of(
                    source="api", comment=comment, reasons=reasons, rater=rater, row_id=id, consent=consent_version
                ),
                prompt=messages_of(prompt, "user", "prompt"),
                completion=messages_of(completion, "assistant", "completion"),
                label=label,
                by=self._maker(model),
            )
            return self._kept(row)

    def feedback_status(self) -> dict[str, Any]:
        """How many rows are saved, waiting, pushed and refused, where they go, and the last commit and error."""
        with shown_to_user():
            record = asdict(self.store.status())
            consent = self.store.consent
            return {
                **record,
                "warnings": list(record["warnings"]),
                "consent_version": consent.version if consent else None,
                "consent_text": consent.text if consent else None,
            }

    def _kept(self, row: PreferenceRow | RatingRow) -> dict[str, Any]:
        """Save a row of the API; the same call again is the same row, another one under its id is refused."""
        if not self.store.save([row]).same:
            raise UserInputError(
                f"The id {row.provenance.id} belongs to a row that says something else, which was kept. Nothing was saved "
                "now; use another id, or leave it out."
            )
        return {"id": row.provenance.id, "state": "saved"}

    def _maker(self, model: str) -> Contender:
        if not model:
            return Contender()
        ref = self.router.pin(model)
        return Contender(ref.repo_id, ref.revision or None)
