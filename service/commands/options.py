"""Options that several commands share, and the lake they lead to."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.audit_command import command_lake
from service.client import Chartlake
from service.folder import FolderLake
from service.settings import SettingError, Settings, load_settings
from storage.lake import Lake

_MASTER_KEYS = ("master_key", "master_key_file", "passphrase_file")


def add_folder(parser: argparse.ArgumentParser, *, datastore: bool = True) -> None:
    """`--data` and the master key options; `datastore`: or one of several by its name."""
    if datastore:
        parser.add_argument("--datastore", metavar="NAME", help="a datastore of chartlake.toml")
    parser.add_argument("--data", metavar="DIR", help="folder of the lake (default: data)")
    parser.add_argument(
        "--master-key", metavar="NAME", help="master key: file:PATH, aws-kms:…, vault-transit:…"
    )
    parser.add_argument("--master-key-file", metavar="FILE", help="master key file")
    parser.add_argument("--passphrase-file", metavar="FILE", help="file with the passphrase")


def add_target(parser: argparse.ArgumentParser) -> None:
    """A lake folder, or a running service by `--url`."""
    add_folder(parser)
    parser.add_argument("--url", help="a running service instead of a folder")
    parser.add_argument("--token-file", metavar="FILE", help="file with the bearer token for --url")


def add_at(parser: argparse.ArgumentParser) -> None:
    """`--at`: the commit or instant to read as of."""
    parser.add_argument("--at", metavar="T", help="as of commit T, or of an instant (default: now)")


def settings_of(arguments: argparse.Namespace, **more: Any) -> Settings:
    """Settings with the command line's on top."""
    overrides = {name: getattr(arguments, name, None) for name in ("data", *_MASTER_KEYS)}
    if len([option for option in _MASTER_KEYS if overrides[option]]) == 1:
        # One on the command line stands for all that the environment or the file says of it.
        overrides |= {option: overrides[option] or "" for option in _MASTER_KEYS}
    name = getattr(arguments, "datastore", None)
    if name is None:
        return load_settings({**overrides, **more})
    datastores = load_settings(more).datastores
    if name not in datastores:
        raise SettingError(f"there is no datastore {name!r} in the settings")
    given = sorted(option for option, value in overrides.items() if value)
    if given:
        raise SettingError(f"--datastore {name} has its own {given[0]}; leave the option out")
    return datastores[name]


def open_target(
    arguments: argparse.Namespace, *, create: bool = False, reading: bool = False, **more: Any
) -> Chartlake | FolderLake:
    """The service or the folder that the command line names; use as a context manager.

    `reading`: the command changes nothing, so it may read a folder beside a service.
    """
    if arguments.url:
        return Chartlake(arguments.url, token=read_token(arguments))
    settings = settings_of(arguments, **more)
    target = FolderLake(settings, create=create, reading=reading, command=arguments.command)
    _say_beside(target.lake)
    return target


@contextmanager
def open_to_look(
    arguments: argparse.Namespace, name: str, parameters: tuple[str, ...] = ()
) -> Iterator[Lake]:
    """The lake of the command line's folder for a command that changes nothing."""
    with command_lake(settings_of(arguments), name, parameters, reading=True) as lake:
        _say_beside(lake)
        yield lake


def _say_beside(lake: Lake) -> None:
    if lake.read_only:
        print(
            f"chartlake: reading {lake.folder.path} beside the process that has it open",
            file=sys.stderr,
        )


def print_notices(target: Chartlake | FolderLake) -> None:
    """Say on stderr what is to be said of answers as of a past commit."""
    for notice in target.notices:
        print(f"chartlake: {notice}", file=sys.stderr)


def read_token(arguments: argparse.Namespace) -> str | None:
    """The bearer token from `--token-file` or `CHARTLAKE_TOKEN`; None where there is none."""
    if arguments.token_file:
        with open(arguments.token_file, encoding="utf-8") as file:
            return file.read().strip()
    return os.environ.get("CHARTLAKE_TOKEN")
