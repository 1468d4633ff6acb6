"""`chartlake nlp annotate`: what the NLP finds in a text, without a lake."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from service.annotated_html import annotated_html
from service.note_reader import annotator_of
from service.note_text import text_of_file
from service.rendering import render_findings
from service.settings import load_settings


def register(actions: Any) -> None:
    """Add the action."""
    annotate = actions.add_parser("annotate", help="show the mentions in a text")
    annotate.add_argument("file", metavar="FILE", help="text file; - for standard input")
    annotate.add_argument("--charset", default="utf-8", help="encoding of the file")
    annotate.add_argument("--model", metavar="NAME", help="setting `nlp_model` for this reading")
    form = annotate.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="mentions as JSON")
    form.add_argument("--html", action="store_true", help="the text with highlights, one HTML page")
    annotate.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Annotate and show one text."""
    from nlp import PIPELINE_VERSION

    text = text_of_file(arguments.file, arguments.charset)
    settings = load_settings({})
    model = arguments.model or settings.nlp_model
    annotator = annotator_of(model, str(settings.terminology_path))
    reading = annotator.read(text)
    mentions = [mention.to_dict() for mention in reading.mentions]
    about = {"language": reading.language, "flags": list(reading.flags)}
    answer = {"entities": mentions, **about, "pipeline": PIPELINE_VERSION}
    for flag in reading.flags:
        print(f"chartlake: {flag} ({reading.language}): the text was not read", file=sys.stderr)
    if arguments.json:
        print(json.dumps(answer, indent=2, default=str, ensure_ascii=False))
    elif arguments.html:
        title = "note" if arguments.file == "-" else Path(arguments.file).name
        print(annotated_html(text, answer, title=title))
    else:
        render_findings(Console(), text, {"state": "done", "entities": mentions})
