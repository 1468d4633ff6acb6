"""Where the specification leaves a choice to the server: what this datastore does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from service.settings import Settings


@dataclass(frozen=True)
class Policy:
    """The settings that decide about changes; see `service.settings` for each."""

    update_create: bool = True
    conditional_delete: str = "single"
    administrative_references: str = "logical"
    max_bundle_entries: int = 50_000
    reference_integrity: str = "off"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy that the settings name."""
        return cls(
            settings.update_create,
            settings.conditional_delete,
            settings.administrative_references,
            settings.max_bundle_entries,
            settings.reference_integrity,
        )
