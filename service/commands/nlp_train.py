"""`chartlake nlp train`: rebuild the shipped recogniser from the corpora."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def register(actions: Any) -> None:
    """Add the command."""
    parser = actions.add_parser(
        "train", help="train the recogniser again from the corpora in CHARTLAKE_DATA"
    )
    parser.add_argument(
        "--out", metavar="FOLDER", help="where the model is written; the shipped one by default"
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="holds corpora/; CHARTLAKE_DATA by default"
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="a whole schedule of N steps for each seed"
    )
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        help="keep the weights of each seed there, and use those of an earlier run that broke off",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Train with the fixed seeds; a line of progress every few steps."""
    from nlp.models import SHIPPED_FOLDER
    from nlp.training.sources import TrainingError, find_sources

    try:
        sources = find_sources(arguments.data)
    except TrainingError as error:
        raise SystemExit(f"chartlake: {error}") from error
    from nlp.training.build import Recipe, build

    recipe = Recipe()
    if arguments.steps is not None:
        if arguments.steps < 1:
            raise SystemExit("chartlake: --steps must be at least 1")
        recipe = recipe.of_steps(arguments.steps)
    folder = Path(arguments.out) if arguments.out else SHIPPED_FOLDER
    kept = Path(arguments.keep) if arguments.keep else None
    build(sources, folder, recipe, lambda line: print(line, flush=True), kept)
    print(f"the model is in {folder}")
