"""Runs in the worker process: loads the NLP once, then reads one note per call."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

# The NLP is imported inside the functions: the serving process names them but never loads it.
if TYPE_CHECKING:
    from nlp import Annotator

_annotator: Annotator | None = None


def load(model: str, terminology: str | None = None) -> None:
    """Process initializer: build the pipeline; end with the service even if it is killed."""
    global _annotator
    parent = os.getppid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _annotator = annotator_of(model, terminology)


def annotator_of(model: str, terminology: str | None) -> Annotator:
    """The pipeline by the settings `nlp_model` (empty: the shipped model) and `terminology`."""
    from nlp import Annotator, NlpConfig

    config = NlpConfig(terminology=terminology)
    return Annotator.load(replace(config, ner_model=model) if model else config)


def ready() -> str:
    """Version of the pipeline, once it is loaded."""
    from nlp import PIPELINE_VERSION

    return PIPELINE_VERSION


def read(
    texts: list[str], source: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Mentions of all texts of a note as JSON objects, the resources made of them, and why not.

    `source`: the fields of `nlp.to_fhir.NoteSource`. The last is empty, or says why no text of the
    note was read, such as `language-not-supported (es)`.
    """
    from nlp.to_fhir import NoteSource, to_resources

    readings = [_loaded().read(text) for text in texts]
    refused = [f"{flag} ({one.language})" for one in readings for flag in one.flags]
    reason = refused[0] if len(refused) == len(readings) and refused else ""
    mentions = [mention for one in readings for mention in one.mentions]
    resources = to_resources(mentions, NoteSource(**source))
    return [mention.to_dict() for mention in mentions], resources, reason


def reading(text: str) -> dict[str, Any]:
    """What `POST /nlp/annotate` answers for one text, but the pipeline."""
    found = _loaded().read(text)
    return {
        "entities": [mention.to_dict() for mention in found.mentions],
        "language": found.language,
        "flags": list(found.flags),
    }


def _loaded() -> Annotator:
    if _annotator is None:
        raise RuntimeError("the note reader's process was not initialised")
    return _annotator


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)
