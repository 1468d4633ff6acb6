"""Options that several commands share, and the lake they lead to."""

from __future__ import annotations

import argparse
import os
from typing import Any

from service.client import Chartlake
from service.folder import FolderLake
from service.settings import Settings, load_settings


def add_folder(parser: argparse.ArgumentParser) -> None:
    """`--data` and the master key options."""
    parser.add_argument("--data", metavar="DIR", help="folder of the lake (default: data)")
    parser.add_argument("--master-key-file", metavar="FILE", help="master key file")
    parser.add_argument("--passphrase-file", metavar="FILE", help="file with the passphrase")


def add_target(parser: argparse.ArgumentParser) -> None:
    """A lake folder, or a running service by `--url`."""
    add_folder(parser)
    parser.add_argument("--url", help="a running service instead of a folder")
    parser.add_argument("--token-file", metavar="FILE", help="file with the bearer token for --url")


def add_at(parser: argparse.ArgumentParser) -> None:
    """`--at`: the commit to read as of."""
    parser.add_argument("--at", type=int, metavar="T", help="as of commit T (default: now)")


def settings_of(arguments: argparse.Namespace, **more: Any) -> Settings:
    """Settings with the command line's on top."""
    names = ("data", "master_key_file", "passphrase_file")
    overrides = {name: getattr(arguments, name, None) for name in names}
    return load_settings({**overrides, **more})


def open_target(
    arguments: argparse.Namespace, *, create: bool = False, **more: Any
) -> Chartlake | FolderLake:
    """The service or the folder that the command line names; use as a context manager."""
    if arguments.url:
        return Chartlake(arguments.url, token=read_token(arguments))
    return FolderLake(settings_of(arguments, **more), create=create)


def read_token(arguments: argparse.Namespace) -> str | None:
    """The bearer token from `--token-file` or `CHARTLAKE_TOKEN`; None where there is none."""
    if arguments.token_file:
        with open(arguments.token_file, encoding="utf-8") as file:
            return file.read().strip()
    return os.environ.get("CHARTLAKE_TOKEN")
