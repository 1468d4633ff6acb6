"""Releases of licensed terminologies, as their publishers give them out, on this machine.

`load` reads official files (RxNorm RRF, SNOMED CT RF2, LOINC, ICD-10-CM) into one index file a
release; `ReleaseStore` is the folder with them, several of one terminology side by side, and knows
which is in use; `ReleaseIndex` answers questions from one of them. Codes and names of published
terminologies only: nothing of a patient is here, so the files are not encrypted.
"""

from schemas.releases.index import NamedConcept, ProductRow, ReleaseIndex, name_key
from schemas.releases.load import TERMINOLOGIES, load
from schemas.releases.source import ReleaseError
from schemas.releases.store import Release, ReleaseStore

__all__ = [
    "TERMINOLOGIES",
    "NamedConcept",
    "ProductRow",
    "Release",
    "ReleaseError",
    "ReleaseIndex",
    "ReleaseStore",
    "load",
    "name_key",
]
