"""The annotated corpora as documents, and which of them are held out.

Never trained on: all development documents of NCBI-disease, a quarter of BC5CDR's, a fifth of
MACCROBAT's. Which ones is decided by the digest of their number, so it is the same everywhere.
BioRED and PHEE are not used: a tenth of BioRED's abstracts are BC5CDR's own, of its test set as
well, one must suppose, and a score on that set would mean less.
"""

import gzip
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nlp.models.schemes import BC5CDR, MACCROBAT, NCBI, Scheme


@dataclass(frozen=True, slots=True)
class Gold:
    """An annotated mention."""

    begin: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Annotated:
    """A text with its mentions; `held_out`: not to be trained on."""

    name: str
    scheme: Scheme
    text: str
    gold: tuple[Gold, ...]
    held_out: bool


def _share(name: str, parts: int) -> bool:
    """True for one in `parts` names, always the same ones."""
    return int(hashlib.md5(name.encode(), usedforsecurity=False).hexdigest(), 16) % parts == 0


def without_overlap(gold: Iterable[Gold]) -> tuple[Gold, ...]:
    """Longest first where mentions overlap, in order of place."""
    kept: list[Gold] = []
    for one in sorted(set(gold), key=lambda g: (g.begin - g.end, g.begin, g.kind)):
        if all(one.end <= other.begin or other.end <= one.begin for other in kept):
            kept.append(one)
    return tuple(sorted(kept, key=lambda g: g.begin))


def pubtator(path: Path) -> Iterator[tuple[str, str, list[Gold]]]:
    """Number, text (title, a blank, abstract) and mentions of each document of a PubTator file."""
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")
    blocks = text.strip().split("\n\n")
    for block in blocks:
        title, abstract, *rows = block.strip().split("\n")
        number, _, head = title.split("|", 2)
        body = abstract.split("|", 2)[2]
        gold = [
            Gold(int(cells[1]), int(cells[2]), cells[4])
            for cells in (row.split("\t") for row in rows)
            if len(cells) >= 6 and cells[1].isdigit()
        ]
        yield number, f"{head} {body}", gold


def pubtator_file(path: Path, scheme: Scheme) -> Iterator[Annotated]:
    """A PubTator file, all held out. In a scheme of one type all mentions are of that type."""
    only = scheme.types[0] if len(scheme.types) == 1 else None
    for number, text, gold in pubtator(path):
        typed = [Gold(g.begin, g.end, only or g.kind) for g in gold]
        kept = without_overlap(g for g in typed if g.kind in scheme.types)
        yield Annotated(number, scheme, text, kept, held_out=True)


def bc5cdr(folder: Path) -> Iterator[Annotated]:
    """BC5CDR, training and development; a quarter of the latter is held out."""
    for document in pubtator_file(folder / "CDR_TrainingSet.PubTator.txt.gz", BC5CDR):
        yield replace(document, held_out=False)
    for document in pubtator_file(folder / "CDR_DevelopmentSet.PubTator.txt.gz", BC5CDR):
        yield replace(document, held_out=_share(document.name, 4))


def ncbi(folder: Path) -> Iterator[Annotated]:
    """NCBI-disease, training and development; the latter is held out."""
    for document in pubtator_file(folder / "NCBItrainset_corpus.txt.gz", NCBI):
        yield replace(document, held_out=False)
    yield from pubtator_file(folder / "NCBIdevelopset_corpus.txt.gz", NCBI)


def brat_folder(folder: Path) -> Iterator[Annotated]:
    """MACCROBAT's `.ann` files. A mention in pieces is taken from its first to its last."""
    for path in sorted(folder.glob("*.ann")):
        gold = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("T"):
                kind, places = line.split("\t")[1].split(" ", 1)
                edges = [int(place) for place in places.replace(";", " ").split()]
                if kind in MACCROBAT.types:
                    gold.append(Gold(min(edges), max(edges), kind))
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        yield Annotated(path.stem, MACCROBAT, text, without_overlap(gold), held_out=True)


def maccrobat(folder: Path) -> Iterator[Annotated]:
    """MACCROBAT 2020; a fifth is held out."""
    for document in brat_folder(folder):
        yield replace(document, held_out=_share(document.name, 5))


def annotated(folder: Path) -> list[Annotated]:
    """All documents of `folder`, the corpora's."""
    return [
        *bc5cdr(folder / "bc5cdr"),
        *ncbi(folder / "ncbi_disease"),
        *maccrobat(folder / "maccrobat2020"),
    ]
