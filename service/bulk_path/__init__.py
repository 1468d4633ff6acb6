"""The fast way of many resources into the lake, beside `service.ingest`.

Processes that hold no key and open no lake parse, validate and prepare (`accepting`, `process`);
this process alone numbers and stores, a batch a commit (`storage.bulk`). What the fast way does not
take (`accepting.ORDINARY_TYPES`, few resources of a type, an id twice) is given back, for the
ordinary way.
"""

from __future__ import annotations

from service.bulk_path.accepting import ORDINARY_TYPES, Checked
from service.bulk_path.path import Batch, BulkPath, Outcome

__all__ = ["ORDINARY_TYPES", "Batch", "BulkPath", "Checked", "Outcome"]
