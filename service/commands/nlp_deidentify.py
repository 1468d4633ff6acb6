"""`chartlake nlp deidentify`: where a text holds protected health information, or it replaced."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from service.note_text import text_of_file
from service.settings import SettingError

_KEY_BYTES = 16


def register(actions: Any) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "deidentify", help="find protected health information in a text, or replace it"
    )
    parser.add_argument("file", metavar="FILE", help="text file; - for standard input")
    parser.add_argument("--charset", default="utf-8", help="encoding of the file")
    parser.add_argument(
        "--known",
        metavar="FILE",
        action="append",
        default=[],
        help="FHIR resources of the patient and those around (JSON, Bundle or NDJSON); repeats",
    )
    parser.add_argument("--text", action="store_true", help="the text with each span replaced")
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        help="with --text: stand-ins instead of categories; FILE holds 16 secret bytes or more",
    )
    parser.add_argument(
        "--shift-days", type=int, default=0, metavar="N", help="with --key-file: move dates by N"
    )
    parser.set_defaults(run=run)


def _resources(path: Path) -> Iterator[dict[str, Any]]:
    body = path.read_text(encoding="utf-8")
    try:
        parsed: list[Any] = [json.loads(body)]
    except json.JSONDecodeError:
        try:
            parsed = [json.loads(line) for line in body.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            # The parser's own words would quote the record.
            raise SettingError(f"{path} is neither JSON nor NDJSON: line {error.lineno}") from None
    for one in parsed:
        if not isinstance(one, dict):
            raise SettingError(f"{path} must hold FHIR resources, one an object")
        if one.get("resourceType") == "Bundle":
            yield from (entry["resource"] for entry in one.get("entry", ()) if "resource" in entry)
        else:
            yield one


def _key(arguments: argparse.Namespace) -> bytes:
    if arguments.key_file is None:
        if arguments.shift_days:
            raise SettingError("--shift-days needs --key-file")
        return b""
    key = Path(arguments.key_file).read_bytes().strip()
    if len(key) < _KEY_BYTES:
        raise SettingError(f"{arguments.key_file} must hold at least {_KEY_BYTES} bytes")
    if not arguments.text or not arguments.shift_days:
        raise SettingError("--key-file needs --text and --shift-days other than 0")
    return key


def run(arguments: argparse.Namespace) -> None:
    """Print the spans as JSON, or the text with them replaced."""
    from nlp.phi import deidentify, find, known_from

    key = _key(arguments)
    known = known_from(one for name in arguments.known for one in _resources(Path(name)))
    text = text_of_file(arguments.file, arguments.charset)
    if not arguments.text:
        print(json.dumps({"spans": [span.to_dict() for span in find(text, known)]}, indent=2))
        return
    mode = "surrogates" if key else "tags"
    sys.stdout.write(
        deidentify(text, known, mode=mode, key=key, shift_days=arguments.shift_days)  # type: ignore[arg-type]
    )
