"""The Hub's controlled vocabulary of tasks (`pipeline_tag`), grouped by what goes in and comes out."""

from __future__ import annotations

# From @huggingface/tasks (pipelines.ts); tasks the Hub hides from its own filter are at the end of their group.
MODALITIES: dict[str, tuple[str, ...]] = {
    "Multimodal": (
        "audio-text-to-text",
        "image-text-to-text",
        "image-text-to-image",
        "image-text-to-video",
        "visual-question-answering",
        "document-question-answering",
        "video-text-to-text",
        "visual-document-retrieval",
        "any-to-any",
    ),
    "Text": (
        "text-generation",
        "text-classification",
        "token-classification",
        "table-question-answering",
        "question-answering",
        "zero-shot-classification",
        "translation",
        "summarization",
        "feature-extraction",
        "fill-mask",
        "sentence-similarity",
        "text-ranking",
        "text2text-generation",
        "table-to-text",
        "multiple-choice",
        "text-retrieval",
    ),
    "Images and video": (
        "depth-estimation",
        "image-classification",
        "object-detection",
        "image-segmentation",
        "text-to-image",
        "image-to-text",
        "image-to-image",
        "image-to-video",
        "unconditional-image-generation",
        "video-classification",
        "text-to-video",
        "video-to-video",
        "zero-shot-image-classification",
        "mask-generation",
        "zero-shot-object-detection",
        "text-to-3d",
        "image-to-3d",
        "image-feature-extraction",
        "keypoint-detection",
    ),
    "Audio": (
        "text-to-speech",
        "text-to-audio",
        "automatic-speech-recognition",
        "audio-to-audio",
        "audio-classification",
        "voice-activity-detection",
    ),
    "Tables and series": (
        "tabular-classification",
        "tabular-regression",
        "time-series-forecasting",
        "tabular-to-text",
    ),
    "Control": ("reinforcement-learning", "robotics"),
    "Other": ("graph-ml", "other"),
}

TASKS: tuple[str, ...] = tuple(task for tasks in MODALITIES.values() for task in tasks)

# The class names of transformers end in what the model is for; the first suffix that fits names the task.
_BY_ARCHITECTURE: tuple[tuple[str, str], ...] = (
    ("ForCausalLM", "text-generation"),
    ("LMHeadModel", "text-generation"),
    ("ForMaskedLM", "fill-mask"),
    ("ForSequenceClassification", "text-classification"),
    ("ForTokenClassification", "token-classification"),
    ("ForQuestionAnswering", "question-answering"),
    ("ForImageClassification", "image-classification"),
    ("ForObjectDetection", "object-detection"),
    ("ForCTC", "automatic-speech-recognition"),
    ("ForSpeechSeq2Seq", "automatic-speech-recognition"),
    ("ForImageTextToText", "image-text-to-text"),
)


def task_of(architectures: object) -> str | None:
    """The task that a config's `architectures` entry stands for; None when it does not tell."""
    names = architectures if isinstance(architectures, list) else [architectures]
    for name in names:
        if isinstance(name, str):
            for suffix, task in _BY_ARCHITECTURE:
                if name.endswith(suffix):
                    return task
    return None
