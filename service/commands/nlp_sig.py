"""`chartlake nlp sig`: an instruction for taking a drug as FHIR Dosage."""

from __future__ import annotations

import argparse
import json
from typing import Any


def register(actions: Any) -> None:
    """Add the action."""
    parser = actions.add_parser("sig", help="read an instruction as FHIR R4 Dosage")
    parser.add_argument("text", nargs="+", metavar="TEXT", help="1 tablet twice daily with food")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Print the Dosage entries as JSON."""
    from nlp.dosage import parse
    from nlp.mention import plain_json

    found = plain_json(parse(" ".join(arguments.text)))
    print(json.dumps(found, indent=2, ensure_ascii=False))
