"""`chartlake terminology`: load official releases of terminologies, list, use and remove them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from schemas.releases import TERMINOLOGIES, ReleaseStore, load
from service.commands.options import add_folder, settings_of


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("terminology", help="load and choose releases of terminologies")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    loading = actions.add_parser("load", help="read the official files of a release, and use it")
    loading.add_argument("terminology", choices=sorted(TERMINOLOGIES), help="what it is of")
    loading.add_argument("path", metavar="PATH", help="the zip, folder or file as it was published")
    loading.add_argument(
        "--release-version", metavar="VERSION", help="which release, where its files do not tell"
    )
    loading.set_defaults(run=run_load)
    listing = actions.add_parser("list", help="show what is loaded and which of it is in use")
    listing.set_defaults(run=run_list)
    using = actions.add_parser("use", help="code by another loaded release")
    using.add_argument("release", metavar="RELEASE", help="its id, as `list` shows it")
    using.set_defaults(run=run_use)
    removing = actions.add_parser("remove", help="delete a loaded release")
    removing.add_argument("release", metavar="RELEASE", help="its id, as `list` shows it")
    removing.set_defaults(run=run_remove)
    for action in (loading, listing, using, removing):
        add_folder(action)


_AT_START = "A running service takes it up when it is started again."


def run_load(arguments: argparse.Namespace) -> None:
    """Load with a progress bar, and say what was loaded."""
    store = _store(arguments)
    path = Path(arguments.path).expanduser()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(arguments.terminology, total=None)
        release = load(
            store,
            arguments.terminology,
            path,
            version=arguments.release_version,
            progress=lambda done, all_: bar.update(task, completed=done, total=all_),
        )
    print(f"{release.id}: {release.title}, {release.concepts:,} concepts, in use. {_AT_START}")


def run_list(arguments: argparse.Namespace) -> None:
    """A table of the loaded releases."""
    releases = _store(arguments).releases()
    if not releases:
        print("No release is loaded: notes are coded by the tables that Chartlake ships.")
        return
    table = Table(box=None)
    for column in ("release", "title", "version", "concepts", "MB", "loaded", "in use"):
        table.add_column(column, justify="right" if column in ("concepts", "MB") else "left")
    for one in releases:
        table.add_row(
            one.id, one.title, one.version, f"{one.concepts:,}", f"{one.bytes / 1e6:.0f}",
            one.loaded, "yes" if one.in_use else "",
        )  # fmt: skip
    Console(width=None if Console().is_terminal else 200).print(table)


def run_use(arguments: argparse.Namespace) -> None:
    """Code by another release."""
    release = _store(arguments).use(arguments.release)
    print(f"{release.id} is in use for {release.terminology}. {_AT_START}")


def run_remove(arguments: argparse.Namespace) -> None:
    """Delete a release."""
    release = _store(arguments).remove(arguments.release)
    used = f" None of {release.terminology} is in use now." if release.in_use else ""
    print(f"{release.id} was removed.{used}")


def _store(arguments: argparse.Namespace) -> ReleaseStore:
    return ReleaseStore(settings_of(arguments).terminology_path)
