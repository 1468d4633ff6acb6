"""`python -m nlp.evaluation.model`: the recogniser by itself, exact span and type, on raw text.

Without arguments the held-out documents of the corpora in CHARTLAKE_DATA; `SCHEME FILE` scores
another PubTator file (`bc5cdr`, `ncbi`) or a folder of brat files (`maccrobat`), a test split say.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp.evaluation.corpora import data_folder
from nlp.evaluation.figure import Figure, Result
from nlp.evaluation.recognition import figures_of
from nlp.evaluation.scores import Scores
from nlp.models import SHIPPED_FOLDER, shipped
from nlp.models.schemes import BC5CDR, NCBI, SCHEMES
from nlp.training.corpora import Annotated, annotated, brat_folder, pubtator_file
from nlp.training.reliability import expected_error
from nlp.training.scoring import Report, Tally, score, sum_of

MICRO = "micro"


def counts(tally: Tally, *, partial: bool = False) -> Scores:
    """A tally as counts; `partial`: any overlap of one type is enough."""
    if partial:
        return Scores(
            tally.found_touched, tally.found - tally.found_touched, tally.gold - tally.gold_touched
        )
    return Scores(tally.exact, tally.found - tally.exact, tally.gold - tally.exact)


def figures(report: Report, name: str) -> Iterator[Figure]:
    """Exact and partial match of each type and of all, with intervals over documents."""
    for partial in (False, True):
        how = "partial" if partial else "exact"
        for kind in [*report.kinds, MICRO]:
            per_document = [
                counts(sum_of(kinds) if kind == MICRO else kinds[kind], partial=partial)
                for kinds in report.documents
            ]
            yield from figures_of(f"model {name}", kind, how, per_document)


def model(folder: Path, shipped_folder: Path = SHIPPED_FOLDER) -> Result:
    """The shipped recogniser on the held-out documents of every corpus."""
    documents = [document for document in annotated(folder / "corpora") if document.held_out]
    return score_documents(documents, shipped_folder)


def score_documents(documents: Sequence[Annotated], folder: Path) -> Result:
    """The recogniser of `folder` on `documents`."""
    recogniser, _ = shipped(folder)
    result = Result()
    for name, report in score(recogniser, documents).items():
        result.figures += figures(report, name)
        error = expected_error([(score, right) for _, score, right in report.scored])
        result.figures.append(Figure(f"model {name}", MICRO, "calibration error", error))
    return result


def documents_of(scheme: str, path: Path) -> list[Annotated]:
    """The documents of a file or folder, as annotated in `scheme`."""
    if scheme == BC5CDR.name:
        return list(pubtator_file(path, BC5CDR))
    if scheme == NCBI.name:
        return list(pubtator_file(path, NCBI))
    return list(brat_folder(path))


def main() -> None:
    """Score and print."""
    parser = argparse.ArgumentParser(prog="python -m nlp.evaluation.model", description=__doc__)
    parser.add_argument("scheme", nargs="?", choices=[scheme.name for scheme in SCHEMES])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--model", type=Path, default=SHIPPED_FOLDER, metavar="FOLDER")
    arguments = parser.parse_args()
    if (arguments.scheme is None) != (arguments.file is None):
        parser.error("give SCHEME and FILE, or neither")
    if arguments.file is None:
        folder = data_folder() / "corpora"
        documents = [document for document in annotated(folder) if document.held_out]
    else:
        documents = documents_of(arguments.scheme, arguments.file)
    for figure in score_documents(documents, arguments.model).figures:
        sys.stdout.write(figure.row() + "\n")


if __name__ == "__main__":
    main()
