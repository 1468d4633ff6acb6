"""`chartlake sql`: one read-only query over the lake's views."""

from __future__ import annotations

import argparse
import csv
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from service.commands.options import add_at, add_target, open_target, print_notices


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("sql", help="run a SELECT over the lake's views")
    add_target(parser)
    add_at(parser)
    parser.add_argument(
        "query", metavar="QUERY", help='for example: "SELECT count(*) FROM patient"'
    )
    parser.add_argument("--csv", action="store_true", help="rows as CSV")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Run and show the query's rows."""
    with open_target(arguments, reading=True) as target:
        answer = target.sql(arguments.query, at=arguments.at)
        print_notices(target)
    if arguments.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(answer["columns"])
        writer.writerows(answer["rows"])
    else:
        table = Table(*answer["columns"])
        for row in answer["rows"]:
            table.add_row(*("" if value is None else str(value) for value in row))
        Console().print(table)
    if answer["truncated"]:
        print("chartlake: rows beyond sql_max_rows were cut", file=sys.stderr)
