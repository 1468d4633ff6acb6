"""`chartlake cohort`: run a cohort definition."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from schemas.outcomes import error
from schemas.parse import parse_json
from service.commands.options import add_at, add_target, open_target, print_notices
from service.rendering import render_cohort


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("cohort", help="run a cohort definition (JSON file)")
    add_target(parser)
    add_at(parser)
    parser.add_argument("file", metavar="FILE", help="cohort definition")
    parser.add_argument("--json", action="store_true", help="result as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run and show the cohort."""
    definition = parse_json(Path(arguments.file).read_bytes())
    if not isinstance(definition, dict):
        raise error("structure", "A cohort definition is a JSON object.")
    with open_target(arguments, reading=True) as target:
        result = target.cohort(definition, at=arguments.at)
        print_notices(target)
    if arguments.json:
        print(json.dumps(result, indent=2, default=str, ensure_ascii=False))
    else:
        render_cohort(Console(), result)
