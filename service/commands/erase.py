"""`chartlake erase` and `chartlake purge`: remove resources so that no copy yields them."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from schemas.ids import is_id
from service.client import Chartlake
from service.commands.options import add_target, open_target
from service.settings import SettingError


def register(commands: Any) -> None:
    """Add both commands."""
    parser = commands.add_parser("erase", help="erase all versions of resources, for ever")
    add_target(parser)
    parser.add_argument("resources", nargs="*", metavar="TYPE/ID", help="what to erase")
    parser.add_argument("--reason", help="why; kept for ever, so do not name a person")
    parser.add_argument("--keep-derived", action="store_true", help="keep what was read in a note")
    parser.add_argument("--resume", action="store_true", help="finish what was interrupted")
    parser.set_defaults(run=run_erase)
    parser = commands.add_parser("purge", help="erase a patient's whole record, for ever")
    add_target(parser)
    parser.add_argument("patient", metavar="Patient/ID", help="whose record to erase")
    parser.add_argument("--reason", required=True, help="why; kept for ever, so do not name anyone")
    parser.add_argument(
        "--include-shared", action="store_true", help="also what is of another patient's record too"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask again")
    parser.set_defaults(run=run_purge)


def run_erase(arguments: argparse.Namespace) -> int:
    """Erase, or finish interrupted erases; say what was erased."""
    if arguments.resume == bool(arguments.resources):
        raise SettingError("name what to erase (TYPE/ID), or --resume alone")
    if not arguments.resume and not arguments.reason:
        raise SettingError("an erase needs a --reason")
    with open_target(arguments) as target:
        if arguments.resume:
            if isinstance(target, Chartlake):
                raise SettingError("a running service finishes its erases itself")
            finished = target.resume_erases()
            print(f"{len(finished)} interrupted erases finished")
            for result in finished:
                _show(result)
            return 0
        keys = [_key(text) for text in arguments.resources]
        _show(target.erase(keys, arguments.reason, keep_derived=arguments.keep_derived))
    return 0


def run_purge(arguments: argparse.Namespace) -> int:
    """Ask, erase the record, say what was erased."""
    id = arguments.patient.removeprefix("Patient/")
    if not is_id(id):
        raise SettingError("the patient is named as Patient/ID")
    if not arguments.yes and not _confirmed(id):
        print("nothing was erased", file=sys.stderr)
        return 1
    with open_target(arguments) as target:
        _show(target.purge(id, arguments.reason, include_shared=arguments.include_shared))
    return 0


def _confirmed(id: str) -> bool:
    if not sys.stdin.isatty():
        raise SettingError("this cannot be undone: say --yes, or run it in a terminal")
    print(f"All of the record of Patient/{id} will be erased, in backups too, for ever.")
    return input("Type the patient's id to go on: ").strip() == id


def _key(text: str) -> tuple[str, str]:
    resource_type, _, id = text.partition("/")
    if not resource_type or not is_id(id):
        raise SettingError("a resource is named as TYPE/ID")
    return resource_type, id


def _show(result: dict[str, Any]) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in result["resources"].items())
    print(f"erased at commit {result['t']}: {counts} ({result['versions']} versions)")
    for name, told in (
        ("shared", "are of another patient's record as well and were kept"),
        ("referring", "still refer to what was erased"),
    ):
        found = result[name]
        if found["total"]:
            more = ", …" if found["total"] > len(found["examples"]) else ""
            print(f"{found['total']} resources {told}: {', '.join(found['examples'])}{more}")
