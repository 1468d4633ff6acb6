"""Windows with the tags that their words should get."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nlp.models.schemes import OUTSIDE
from nlp.models.windows import Reader, Span, Window
from nlp.sentences import sentence_starts
from nlp.training.corpora import Annotated, Gold


@dataclass(slots=True)
class Example:
    """A window, the scheme it was annotated in, and a tag for each of its words."""

    window: Window
    scheme: str
    tags: list[int]


def sentence_spans(text: str) -> list[Span]:
    """The sentences of a corpus text, by the pipeline's own rules."""
    starts = sentence_starts(text, [])
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


def _tags(document: Annotated, spans: Sequence[Span], sentences: Sequence[int]) -> list[int]:
    tags = [OUTSIDE] * len(spans)
    at = 0
    for gold in document.gold:
        while at < len(spans) and spans[at][1] <= gold.begin:
            at += 1
        end = at
        while end < len(spans) and spans[end][0] < gold.end and sentences[end] == sentences[at]:
            end += 1
        for place in range(at, end):
            tags[place] = document.scheme.tag(gold.kind, end - at, place - at)
        at = end
    return tags


def examples(document: Annotated, reader: Reader, skip: int = 0) -> Iterator[Example]:
    """The windows of a document. `skip`: sentences in the first one, so that the cuts differ."""
    sentences = sentence_spans(document.text)
    groups = [sentences[:skip], sentences[skip:]] if 0 < skip < len(sentences) else [sentences]
    for group in groups:
        windows = list(reader.windows(document.text, group))
        spans = [span for window in windows for span in window.spans]
        numbers = [number for window in windows for number in window.sentence]
        gold: list[Gold] = [
            g for g in document.gold if spans and spans[0][0] <= g.begin < spans[-1][1]
        ]
        part = Annotated(
            document.name, document.scheme, document.text, tuple(gold), document.held_out
        )
        tags = _tags(part, spans, numbers)
        begin = 0
        for window in windows:
            end = begin + len(window.spans)
            yield Example(window, document.scheme.name, tags[begin:end])
            begin = end


def epoch(
    documents: Sequence[Annotated],
    reader: Reader,
    repeats: dict[str, int],
    rng: random.Random,
) -> list[Example]:
    """All documents once (`repeats` times by scheme), each cut into windows in another way."""
    made: list[Example] = []
    for document in documents:
        for _ in range(repeats.get(document.scheme.name, 1)):
            made.extend(examples(document, reader, skip=rng.randrange(4)))
    return made
