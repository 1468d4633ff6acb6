"""Readers of the corpora: text and gold annotations, nothing else."""

import csv
import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nlp.evaluation.scores import Span


@dataclass(slots=True)
class Document:
    """A text and its gold spans by the corpus's own label."""

    text: str
    spans: dict[str, list[Span]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContextSentence:
    """One row of the NegEx set: what `sentence` says of `concept`."""

    concept: str
    sentence: str
    negated: bool
    historical: bool
    of_another: bool


@dataclass(frozen=True, slots=True)
class AssertedText:
    """A text and the polarity (`NEG`, `UNCERTAIN`, `POS`) of its findings by span."""

    text: str
    polarity: dict[Span, str]


def data_folder() -> Path:
    """The folder CHARTLAKE_DATA names. SystemExit says what to set when it is not there."""
    value = os.environ.get("CHARTLAKE_DATA")
    if not value or not Path(value).is_dir():
        raise SystemExit("set CHARTLAKE_DATA to the folder that holds corpora/")
    return Path(value)


def negex(folder: Path) -> Iterator[ContextSentence]:
    """The NegEx sentences."""
    path = folder / "corpora" / "negex" / "sentences.tsv"
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(reader)
        for row in reader:
            if len(row) >= 6:
                negation, time, who = (cell.strip().lower() for cell in row[3:6])
                yield ContextSentence(
                    row[1].strip(),
                    row[2],
                    negated=negation == "negated",
                    historical=time == "historical",
                    of_another=who != "patient",
                )


def bc5cdr(folder: Path) -> Iterator[Document]:
    """BC5CDR development set: labels Chemical and Disease."""
    return _pubtator(folder / "corpora" / "bc5cdr" / "CDR_DevelopmentSet.PubTator.txt.gz")


def ncbi_disease(folder: Path) -> Iterator[Document]:
    """NCBI-disease development set; its four kinds of mention are all label Disease."""
    path = folder / "corpora" / "ncbi_disease" / "NCBIdevelopset_corpus.txt.gz"
    for document in _pubtator(path):
        spans = sorted(span for spans in document.spans.values() for span in spans)
        yield Document(document.text, {"Disease": spans})


def _pubtator(path: Path) -> Iterator[Document]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for block in stream.read().strip().split("\n\n"):
            lines = block.strip("\n").split("\n")
            title = lines[0].split("|", 2)[2]
            abstract = lines[1].split("|", 2)[2]
            document = Document(f"{title} {abstract}")
            for line in lines[2:]:
                cells = line.split("\t")
                if len(cells) >= 6:
                    document.spans.setdefault(cells[4], []).append((int(cells[1]), int(cells[2])))
            yield document


def maccrobat(folder: Path) -> Iterator[Document]:
    """MACCROBAT 2020 (brat): its own labels; discontinuous spans are left out."""
    for path in sorted((folder / "corpora" / "maccrobat2020").glob("*.txt")):
        if not path.with_suffix(".ann").exists():
            continue
        document = Document(path.read_text(encoding="utf-8"))
        for line in path.with_suffix(".ann").read_text(encoding="utf-8").splitlines():
            if not line.startswith("T"):
                continue
            label = line.split("\t")[1]
            if ";" in label:
                continue
            name, begin, end = label.split(" ")
            document.spans.setdefault(name, []).append((int(begin), int(end)))
        yield document


_FINDINGS = frozenset(("Sign_symptom", "Disease_disorder"))


def maccrobat_polarity(folder: Path) -> Iterator[AssertedText]:
    """The signs, symptoms and diseases of MACCROBAT with their POLARITY, `POS` where none is given.

    `MAYBE_NEG` and `MAYBE_POS` are doubt. Discontinuous spans are left out.
    """
    for path in sorted((folder / "corpora" / "maccrobat2020").glob("*.ann")):
        spans: dict[str, Span] = {}
        events: dict[str, str] = {}
        polarity: dict[str, str] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = line.split("\t")
            if line.startswith("T") and ";" not in cells[1]:
                name, begin, end = cells[1].split(" ")
                if name in _FINDINGS:
                    spans[cells[0]] = int(begin), int(end)
            elif line.startswith("E"):
                events[cells[0]] = cells[1].split(" ")[0].partition(":")[2]
            elif line.startswith("A"):
                name, event, value = cells[1].split(" ")
                if name == "POLARITY":
                    polarity[event] = "UNCERTAIN" if value.startswith("MAYBE") else value
        given = {events[event]: value for event, value in polarity.items() if event in events}
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        yield AssertedText(text, {span: given.get(id, "POS") for id, span in spans.items()})


@dataclass(frozen=True, slots=True)
class HeadedText:
    """A report and where its section headers begin."""

    text: str
    headers: list[int]


def mtsamples_headers(folder: Path) -> Iterator[HeadedText]:
    """MTSamples reports with the offsets of their labelled section headers."""
    with gzip.open(folder / "corpora" / "mtsamples.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            report = json.loads(line)
            yield HeadedText(report["text"], [begin for _, begin, _ in report["sections"]])


def mtsamples(folder: Path) -> Iterator[Document]:
    """MTSamples reports; no gold."""
    with gzip.open(folder / "corpora" / "mtsamples.jsonl.gz", "rt", encoding="utf-8") as stream:
        for line in stream:
            yield Document(json.loads(line)["text"])
