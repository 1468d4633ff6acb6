"""`chartlake note`: store a text note of a patient and show what was found in it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console

from service.commands.options import add_target, open_target
from service.note_text import text_of_file
from service.rendering import render_findings


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("note", help="store a note and show what the NLP finds in it")
    add_target(parser)
    parser.add_argument("file", metavar="FILE", help="text file; - for standard input")
    parser.add_argument("--patient", required=True, metavar="ID", help="whose note it is")
    parser.add_argument("--charset", default="utf-8", help="encoding of the file")
    parser.add_argument("--json", action="store_true", help="findings as JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Store, wait for the reading, show it."""
    text = text_of_file(arguments.file, arguments.charset)
    with open_target(arguments) as target:
        note = target.note(text, arguments.patient)
        findings = target.findings(note["id"], wait_s=60)
    if arguments.json:
        print(json.dumps(findings, indent=2, default=str, ensure_ascii=False))
    else:
        render_findings(Console(), text, findings)
    return 0 if findings["state"] == "done" else 1
