"""`chartlake keys`: make a master key, show which one a lake has, give it another one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from service.commands.options import add_folder, settings_of
from service.lake_access import master_key
from storage import rotation
from storage.key_copies import KeyCopies
from storage.lake_folder import LakeFolder
from storage.master_keys.key_file import KeyFileMasterKey
from storage.master_keys.named import FORMS, named


def register(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser("keys", help="make, show or rotate a master key")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="write a new random master key to a file (mode 0600)")
    init.add_argument("file", metavar="FILE", help="where to write it; must not exist")
    init.set_defaults(run=run_init)
    show = actions.add_parser("show", help="which master key a lake has, and whether it opens it")
    add_folder(show)
    show.set_defaults(run=run_show)
    rotate = actions.add_parser("rotate", help="give a lake another master key, also while it runs")
    add_folder(rotate)
    rotate.add_argument("--to", required=True, metavar="NAME", help=f"the new one: {FORMS}")
    rotate.set_defaults(run=run_rotate)
    copies = actions.add_parser("copies", help="where copies of the key store are kept up to date")
    add_folder(copies)
    copies.add_argument(
        "--forget", metavar="DIR", help="a copy that was destroyed: keep it up to date no longer"
    )
    copies.set_defaults(run=run_copies)


def run_init(arguments: argparse.Namespace) -> None:
    """Make the key file and say what it means."""
    path = Path(arguments.file).expanduser()
    KeyFileMasterKey.create(path)
    print(f"{path}: new master key. Who loses it loses the lake; keep a copy elsewhere.")


def run_show(arguments: argparse.Namespace) -> None:
    """What the key store says of itself, then whether the configured master key opens it."""
    settings = settings_of(arguments)
    folder = LakeFolder(settings.data_path)
    found = rotation.keys_in_use(folder)
    print(f"lake         {found.lake_id}")
    print(f"provider     {found.provider}")
    if found.name:
        print(f"key          {found.name}")
    print(f"segment keys {found.segment_keys}")
    key = master_key(settings) or KeyFileMasterKey(folder.default_master_key)
    rotation.open_keystore(folder, key)
    print(f"opened by    {key.describe()}")


def run_rotate(arguments: argparse.Namespace) -> None:
    """Rotate, and say what to do next."""
    settings = settings_of(arguments)
    new = named(arguments.to)
    full, failed = rotation.rotate(LakeFolder(settings.data_path), master_key(settings), new)
    if full:
        print("The master key was rotated, and the datastore key renewed.")
    else:
        print(
            "The master key was rotated; the lake is in use, so its datastore key was wrapped "
            "anew and not renewed. Rotate again while it is not in use to renew it."
        )
    for place, reason in failed.items():
        print(
            f"The copy of the key store in {place} could not be updated ({reason}): it is still "
            "under the old master key."
        )
    print(f"From now on the lake opens only with {new.describe()}: set master_key accordingly.")


def run_copies(arguments: argparse.Namespace) -> None:
    """List the registered copies of the key store, or take one off the list."""
    copies = KeyCopies(LakeFolder(settings_of(arguments).data_path).keystore)
    if arguments.forget:
        copies.forget(Path(arguments.forget))
    for folder in copies.folders():
        print(folder)
