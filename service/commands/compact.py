"""`chartlake compact`: merge the segments of each type into one sorted run."""

from __future__ import annotations

import argparse
from typing import Any

from service.audit_command import command_lake
from service.commands.options import add_folder, settings_of


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("compact", help="merge segments, for faster reading by patient")
    add_folder(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Merge and say what was done."""
    with command_lake(settings_of(arguments), "compact") as lake:
        merged = lake.compact()
        print(f"{merged} segments merged; the lake has {lake.stats()['segments']} now")
