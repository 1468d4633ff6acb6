"""`chartlake backup`: copy what is new in a lake, while it is in use, and nothing of its keys."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service.commands.options import add_folder, open_to_look


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("backup", help="back the lake up, online and incrementally")
    add_folder(parser)
    parser.add_argument("folder", metavar="FOLDER", help="where the backups of this lake are kept")
    parser.add_argument(
        "--keys",
        metavar="DIR",
        help="keep a copy of the key store there, apart from the backups; an erase reaches it",
    )
    parser.add_argument(
        "--keep", type=_count, metavar="N", help="remove all backups but the N latest"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Take the backup and say what it needed."""
    folder = Path(arguments.folder).expanduser()
    with open_to_look(arguments, "backup") as lake:
        report = lake.backup(folder)
        print(
            f"{report.id}: commit {report.t}, {report.bytes / 1e6:,.1f} MB, of which "
            f"{report.new_bytes / 1e6:,.1f} MB were new"
        )
        if arguments.keys:
            path = lake.key_copies.register(Path(arguments.keys))
            print(f"{path}: copy of the key store; an erase will update it")
        else:
            print("no keys were copied: without keys/keystore.json this backup cannot be restored")
        if arguments.keep:
            removed = lake.prune_backups(folder, arguments.keep)
            print(f"{removed} older backups removed")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("keep at least one")
    return number
