"""Corpora whose mentions have ids: BC5CDR (MeSH), in PubTator's format."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NO_ID = "-1"


@dataclass(frozen=True, slots=True)
class LinkedMention:
    """A gold mention; `ids` are all that it was given, none where annotators found none."""

    begin: int
    end: int
    text: str
    label: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinkedDocument:
    """A text with its mentions."""

    text: str
    mentions: tuple[LinkedMention, ...]


def bc5cdr(folder: Path, split: str) -> Iterator[LinkedDocument]:
    """BC5CDR's `Training` or `Development` set."""
    path = folder / "corpora" / "bc5cdr" / f"CDR_{split}Set.PubTator.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        blocks = stream.read().strip().split("\n\n")
    for block in blocks:
        lines = block.split("\n")
        title, abstract = (line.split("|", 2)[2] for line in lines[:2])
        cells = (line.split("\t") for line in lines[2:])
        yield LinkedDocument(
            f"{title} {abstract}",
            tuple(
                LinkedMention(int(c[1]), int(c[2]), c[3], c[4], _ids(c[5]))
                for c in cells
                if len(c) >= 6
            ),
        )


def _ids(cell: str) -> tuple[str, ...]:
    return tuple(id for id in cell.split("|") if id != NO_ID)
