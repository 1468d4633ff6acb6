"""Reading a JSON definition field by field, each error naming its path in the JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from schemas.outcomes import FhirError, error


def problem(path: str, text: str) -> FhirError:
    """An `invalid` error about the value at `path`."""
    return error("invalid", f"cohort definition: {path or 'it'} {text}", *([path] if path else []))


def one_of(value: Any, allowed: Sequence[str], path: str) -> str:
    """`value` if it is one of `allowed`; the error suggests the nearest."""
    if isinstance(value, str) and value in allowed:
        return value
    raise problem(path, f"must be one of {', '.join(allowed)}{_suggestion(value, allowed)}")


def _suggestion(value: Any, allowed: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(value).lower(), allowed, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


class Fields:
    """One JSON object and the path that leads to it."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise problem(path, "must be a JSON object")
        self.value: dict[str, Any] = value
        self.path = path

    def at(self, key: str) -> str:
        """The path of a field."""
        return f"{self.path}.{key}" if self.path else key

    def allow(self, *keys: str) -> None:
        """Refuse every other key, since a misspelt one would silently widen the cohort."""
        for key in self.value:
            if key not in keys:
                raise problem(
                    self.at(key),
                    f"is not known here{_suggestion(key, keys)}; allowed: {', '.join(keys)}",
                )

    def get(self, key: str, default: Any = None) -> Any:
        """The field as it is; null counts as absent."""
        found = self.value.get(key)
        return default if found is None else found

    def text(self, key: str, *, required: bool = False) -> str | None:
        """A string that is not blank."""
        found = self.get(key)
        if found is None and not required:
            return None
        if not isinstance(found, str) or not found.strip():
            raise problem(self.at(key), "must be a text that is not blank")
        return found

    def whole(self, key: str, *, least: int = 0) -> int | None:
        """A whole number of at least `least`."""
        found = self.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or found != (number := _whole(found)) or number < least:
            raise problem(self.at(key), f"must be a whole number of at least {least}")
        return number

    def number(self, key: str) -> float | None:
        """A finite number."""
        found = self.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float | Decimal):
            raise problem(self.at(key), "must be a number")
        number = float(found)
        if number in (float("inf"), float("-inf")) or number != number:
            raise problem(self.at(key), "must be a finite number")
        return number

    def texts(self, key: str) -> tuple[str, ...]:
        """A string or a list of strings, as a tuple; empty when absent."""
        found = self.get(key, [])
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(t, str) and t.strip() for t in found):
            raise problem(self.at(key), "must be a text or a list of texts")
        return tuple(found)


def _whole(value: Any) -> int:
    if isinstance(value, int | float | Decimal) and abs(float(value)) < 2**53:
        return int(value)
    return -1
