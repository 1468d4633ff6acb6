"""`chartlake serve`: run the service."""

from __future__ import annotations

import argparse
from typing import Any

from service.commands.options import add_folder, settings_of
from service.server import serve


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("serve", help="run the service")
    add_folder(parser, datastore=False)
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8080; 0: any free)")
    parser.add_argument("--api-token-file", metavar="FILE", help="accepted tokens, hashed")
    parser.add_argument("--no-nlp", action="store_true", help="do not read notes")
    parser.add_argument(
        "--read-only", action="store_true", help="answer reads beside the service that writes"
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="processes that answer (default: one a core)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Serve until interrupted."""
    serve(
        settings_of(
            arguments,
            host=arguments.host,
            port=arguments.port,
            api_token_file=arguments.api_token_file,
            nlp=False if arguments.no_nlp else None,
            read_only=arguments.read_only or None,
            workers=arguments.workers,
        )
    )
