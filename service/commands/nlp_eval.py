"""`chartlake nlp eval`: the figures of docs/nlp.md and the model card, measured again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from service.settings import SettingError


def register(actions: Any) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "eval", help="score the NLP on the corpora in the folder that CHARTLAKE_DATA names"
    )
    parser.add_argument("name", nargs="*", metavar="NAME", help="evaluations (default: all)")
    parser.add_argument("--list", action="store_true", help="name the evaluations and end")
    parser.add_argument(
        "--errors", type=int, default=0, metavar="N", help="show N errors of a kind"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the figures as CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run the evaluations one after the other."""
    from nlp.evaluation.corpora import data_folder
    from nlp.evaluation.evaluations import NAMES, evaluation
    from nlp.evaluation.figure import save

    if arguments.list:
        print("\n".join(NAMES))
        return
    unknown = [name for name in arguments.name if name not in NAMES]
    if unknown:
        raise SettingError(f"there is no evaluation {unknown[0]!r}; there are {', '.join(NAMES)}")
    folder = data_folder()
    figures = []
    for name in arguments.name or NAMES:
        print(f"{name} …", file=sys.stderr)
        result = evaluation(name)(folder)
        figures += result.figures
        for figure in result.figures:
            print(figure.row())
        for kind, errors in result.errors.items():
            shown = ", ".join(f"{text} ({count})" for text, count in errors[: arguments.errors])
            if shown:
                print(f"  {kind}: {shown}")
        sys.stdout.flush()
    if arguments.save:
        save(figures, arguments.save)
