"""The head of the audit log in the service's own log: an anchor outside of the lake.

Who puts back an older copy of the whole lake gets a chain that is sound in itself. A head that was
noted elsewhere tells (`chartlake audit verify --anchor`), so the log should go to another machine.
"""

from __future__ import annotations

import logging
import threading

from schemas.outcomes import FhirError
from storage.lake import Lake

log = logging.getLogger("chartlake.audit")

EVERY_S = 600
"""Between two lines, where there were events meanwhile."""


class AuditAnchor:
    """Logs the head at start, every ten minutes and at the end."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._last = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-anchor", daemon=True)

    def start(self) -> None:
        """Log the head, and go on in a thread."""
        self._note()
        self._thread.start()

    def stop(self) -> None:
        """Log the head for the last time."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
            self._note()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._note()

    def _note(self) -> None:
        try:
            head = str(self._lake.audit_head())
        except FhirError as failure:
            log.error("the head of the audit log cannot be read: %s", failure.category)
            return
        if head != self._last:
            log.info("audit head %s", head)
            self._last = head
