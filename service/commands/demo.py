"""`chartlake demo`: the whole lake in a few minutes, from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service.demo import run_demo


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("demo", help="see the whole lake at work, from nothing")
    parser.add_argument(
        "--data", default="demo-lake", metavar="DIR", help="new folder for the lake"
    )
    parser.add_argument("--patients", type=int, default=60, metavar="N", help="generated patients")
    parser.add_argument("--seed", type=int, default=7, metavar="S", help="seed of the population")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demonstration."""
    return run_demo(Path(arguments.data), arguments.patients, arguments.seed)
