"""`chartlake token new`: a bearer token for a client of the service."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service.auth import new_token


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("token", help="make a bearer token")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = actions.add_parser("new", help="add a token to a token file and print it once")
    new.add_argument("name", metavar="NAME", help="whom the token is for")
    new.add_argument("--file", required=True, metavar="FILE", help="token file (hashes only)")
    new.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Make and print the token."""
    print(new_token(arguments.name, Path(arguments.file).expanduser()))
