"""`chartlake nlp queue|failures|retry|reread`: the notes of a lake that are to be read."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Table

from service.commands.options import add_target, open_target


def register(actions: Any) -> None:
    """Add the actions."""
    for name, help, run in (
        ("queue", "how far the reading of notes is", show_queue),
        ("failures", "notes that could not be read, with the reason", show_failures),
        ("retry", "read again what could not be read", retry),
        ("reread", "read all notes again with the pipeline of today", reread),
    ):
        parser = actions.add_parser(name, help=help)
        add_target(parser)
        parser.add_argument("--json", action="store_true", help="the answer as JSON")
        if name == "retry":
            parser.add_argument("note", nargs="*", metavar="ID", help="these only (default: all)")
        parser.set_defaults(run=run)


def show_queue(arguments: argparse.Namespace) -> None:
    """The figures of the queue."""
    with open_target(arguments, reading=True) as target:
        state = target.nlp_queue()
    if arguments.json:
        print(json.dumps(state, indent=2))
        return
    for name, value in state.items():
        print(f"{name.replace('_', ' '):18} {value}")


def show_failures(arguments: argparse.Namespace) -> None:
    """The dead letters, one a line."""
    with open_target(arguments, reading=True) as target:
        letters = target.nlp_failures()
    if arguments.json:
        print(json.dumps({"failures": letters}, indent=2))
        return
    table = Table(title=f"{len(letters)} notes could not be read", title_justify="left")
    for column in ("note", "version", "failed", "reason"):
        table.add_column(column, overflow="fold")
    for letter in letters:
        table.add_row(letter["note"], letter["version"], letter["failed"], letter["reason"])
    Console().print(table)


def retry(arguments: argparse.Namespace) -> int:
    """Ask for it; a folder's notes are read here and now."""
    with open_target(arguments) as target:
        asked = target.nlp_retry(arguments.note)
        left = target.nlp_failures()
    return _told(arguments, {"retrying": asked, "failures": len(left)})


def reread(arguments: argparse.Namespace) -> int:
    """Ask for it; a folder's notes are read here and now."""
    with open_target(arguments) as target:
        return _told(arguments, {"rereading": target.nlp_reread()})


def _told(arguments: argparse.Namespace, answer: dict[str, int]) -> int:
    if arguments.json:
        print(json.dumps(answer))
    else:
        print(", ".join(f"{name} {count}" for name, count in answer.items()))
    return 0
