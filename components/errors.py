"""How an error reaches the person: a sentence, or a reference id for what is a bug."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import gradio as gr

from core.errors import AppError

log = logging.getLogger("proving_ground")


@contextmanager
def shown_to_user() -> Iterator[None]:
    """Turn an `AppError` into a message on the screen, and anything else into a logged bug with a reference id."""
    try:
        yield
    except AppError as error:
        raise gr.Error(str(error), duration=12, print_exception=False, title="Not done") from error
    except gr.Error:
        raise
    except Exception as error:
        reference = uuid4().hex[:8]
        log.exception("unexpected error, reference %s", reference)
        raise gr.Error(
            f"Something went wrong here, and it is not your doing. Reference {reference}; the details are in the "
            "server's log. What you wrote is still on the page.",
            duration=None,
            print_exception=False,
            title="Unexpected error",
        ) from error
