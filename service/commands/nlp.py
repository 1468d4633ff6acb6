"""`chartlake nlp annotate`: what the NLP finds in a text, without a lake."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from service.note_text import text_of
from service.rendering import render_findings


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("nlp", help="read a text with the NLP, storing nothing")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    annotate = actions.add_parser("annotate", help="show the mentions in a text")
    annotate.add_argument("file", metavar="FILE", help="text file; - for standard input")
    annotate.add_argument("--charset", default="utf-8", help="encoding of the file")
    annotate.add_argument("--json", action="store_true", help="mentions as JSON")
    annotate.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Annotate and show one text."""
    from nlp import PIPELINE_VERSION, Annotator, NlpConfig

    stdin = arguments.file == "-"
    body = sys.stdin.buffer.read() if stdin else Path(arguments.file).read_bytes()
    text = text_of(body, arguments.charset)
    mentions = [mention.to_dict() for mention in Annotator.load(NlpConfig()).annotate(text)]
    if arguments.json:
        answer = {"entities": mentions, "pipeline": PIPELINE_VERSION}
        print(json.dumps(answer, indent=2, default=str, ensure_ascii=False))
    else:
        render_findings(Console(), text, {"state": "done", "entities": mentions})
