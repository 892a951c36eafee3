"""The seams together: what pages may ask of the world. Import each from its own module; backends implement them."""

from __future__ import annotations

from core.chat_protocols import AdaptedChat, Answer, ChatBackend, ChatRequest, ChatRouter, MeteredChat, RemoteModels
from core.feedback_protocols import DatasetHead, DatasetRepo, FeedbackStore
from core.hub_protocols import CardDetails, HubCatalog, LocalCache, RepoDetails
from core.image_protocols import Drawing, ImageBackend, ImageRouter, MeteredImages, PictureStore

__all__ = [
    "AdaptedChat",
    "Answer",
    "CardDetails",
    "ChatBackend",
    "ChatRequest",
    "ChatRouter",
    "DatasetHead",
    "DatasetRepo",
    "Drawing",
    "FeedbackStore",
    "HubCatalog",
    "ImageBackend",
    "ImageRouter",
    "LocalCache",
    "MeteredChat",
    "MeteredImages",
    "PictureStore",
    "RemoteModels",
    "RepoDetails",
]
