"""`chartlake keys init`: a master key file, outside the lake's folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from storage.keys import KeyFileMasterKey


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("keys", help="make a master key")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="write a new random master key to a file (mode 0600)")
    init.add_argument("file", metavar="FILE", help="where to write it; must not exist")
    init.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make the key file and say what it means."""
    path = Path(arguments.file).expanduser()
    KeyFileMasterKey.create(path)
    print(f"{path}: new master key. Who loses it loses the lake; keep a copy elsewhere.")
