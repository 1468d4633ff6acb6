"""What cannot be told, and why: the answer that is neither yes nor no."""

from __future__ import annotations


class Unknown(Exception):
    """A question that what is loaded cannot answer; its text says why, for the client."""


def no_code_system(url: str, version: str | None = None) -> str:
    """The reason for a code system that is not here."""
    which = f"{url[:200]}{f', version {version[:64]}' if version else ''}"
    return f"the code system {which} is not loaded"


def no_value_set(url: str) -> str:
    """The reason for a value set that is not here."""
    return f"the value set {url[:200]} is not known"
