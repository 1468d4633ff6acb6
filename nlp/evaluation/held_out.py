"""The documents of the corpora on which the shipped model was not trained.

`nlp.training.corpora` decides which: a quarter of BC5CDR's development set, all of NCBI-disease's,
a fifth of MACCROBAT. A figure over any other document would flatter the model.
"""

from collections.abc import Iterator
from pathlib import Path

from nlp.evaluation.corpora import Document
from nlp.models.schemes import Scheme
from nlp.training.corpora import annotated


def held_out(folder: Path, scheme: Scheme) -> Iterator[Document]:
    """The held-out documents of a scheme. `folder`: the one that CHARTLAKE_DATA names."""
    for document in annotated(folder / "corpora"):
        if document.held_out and document.scheme == scheme:
            spans: dict[str, list[tuple[int, int]]] = {}
            for gold in document.gold:
                spans.setdefault(gold.kind, []).append((gold.begin, gold.end))
            yield Document(document.text, spans)
