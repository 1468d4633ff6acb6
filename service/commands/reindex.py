"""`chartlake reindex`: rebuild the search index from the resources."""

from __future__ import annotations

import argparse
from typing import Any

from service.audit_command import command_lake
from service.commands.options import add_folder, settings_of


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("reindex", help="rebuild the search index")
    add_folder(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Rebuild and say so."""
    with command_lake(settings_of(arguments), "reindex") as lake:
        lake.reindex()
        print(f"index rebuilt at commit {lake.t}")
