"""How far one search may go. What goes beyond is refused, naming the limit; nothing is cut."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.outcomes import FhirError, error


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """The limits of a lake's searches; the service sets them from its settings.

    `default_count`, `max_count`: matches on a page. `page_includes`: included resources on one
    page, the others follow on further ones. `max_includes`: those that belong to the matches of
    one page, in all. `max_chain_depth`: links of a chain, `_has` among them. `max_joined`:
    resources that one link of a chain, or `_has`, may lead over. `max_filter_terms`: comparisons
    in one `_filter`. `max_sort_keys`: keys of `_sort`.
    """

    default_count: int = 50
    max_count: int = 1_000
    page_includes: int = 1_000
    max_includes: int = 100_000
    max_chain_depth: int = 8
    max_joined: int = 2_000_000
    max_filter_terms: int = 100
    max_sort_keys: int = 8


def beyond(given: str, what: str, limit: int, setting: str) -> FhirError:
    """The error for a search that goes further than a limit allows."""
    return error(
        "not-supported",
        f"{given[:64]!r} {what} (limit {limit:,}, setting {setting}). Ask for less at once.",
        given[:64],
    )
