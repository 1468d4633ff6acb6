"""`python -m nlp.evaluation.model`: the recogniser by itself, exact span and type, on raw text.

Without arguments the held-out documents of the corpora in CHARTLAKE_DATA; `SCHEME FILE` scores
another PubTator file (`bc5cdr`, `ncbi`) or a folder of brat files (`maccrobat`), a test split say.
"""

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from nlp.evaluation.corpora import data_folder
from nlp.models import SHIPPED_FOLDER, shipped
from nlp.models.schemes import BC5CDR, NCBI, SCHEMES
from nlp.training.corpora import Annotated, annotated, brat_folder, pubtator_file
from nlp.training.scoring import Report, Tally, score

_RESAMPLED = 1000


def interval(documents: Sequence[Tally]) -> tuple[float, float]:
    """95 % interval of micro F1: the documents drawn anew a thousand times, with replacement."""
    rng = random.Random(0)  # noqa: S311 - no secret
    values = []
    for _ in range(_RESAMPLED):
        total = Tally()
        for document in rng.choices(documents, k=len(documents)):
            total.add(document)
        values.append(total.f1)
    values.sort()
    return values[int(0.025 * _RESAMPLED)], values[int(0.975 * _RESAMPLED) - 1]


def rows(name: str, report: Report) -> Iterator[str]:
    """The table of one scheme."""
    low, high = interval(report.documents)
    micro = report.micro
    yield (
        f"{name}: {len(report.documents)} documents, {micro.gold} mentions; "
        f"micro F1 {micro.f1:.4f} [{low:.3f}, {high:.3f}]"
    )
    yield f"  {'type':24} {'n':>5}  {'P':>6} {'R':>6} {'F1':>6}  partial F1"
    for kind, tally in [*report.kinds.items(), ("micro", micro)]:
        yield (
            f"  {kind:24} {tally.gold:5}  {tally.precision:.3f}  {tally.recall:.3f}  "
            f"{tally.f1:.3f}  {tally.partial_f1:.3f}"
        )


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
    recogniser, _ = shipped(arguments.model)
    for name, report in score(recogniser, documents).items():
        sys.stdout.write("\n".join(rows(name, report)) + "\n")


if __name__ == "__main__":
    main()
