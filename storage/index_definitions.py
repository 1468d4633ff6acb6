"""Indexing what was stored before a search parameter was added, as a job.

All versions of the types concerned are indexed anew, segment by segment (`storage.reindex`), while
others search and write; then the parameters can be searched by, all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from storage import audit_trail
from storage.jobs import Job, Jobs
from storage.reindex import Reindex
from storage.search_definitions import KIND, SearchDefinitions
from storage.segment_store import SegmentStore
from storage.writer import Writer

# How often the progress is written down: at this share of the versions.
_STEPS = 100


class IndexStopped(Exception):
    """The process ends: the job begins anew after the next start."""


def accept(jobs: Jobs, definitions: SearchDefinitions) -> Job | None:
    """The job for what is not indexed yet; None when there is nothing, or it is under way."""
    pending = definitions.pending
    for job in jobs.unfinished([KIND]):
        if pending.items() <= job.request["versions"].items():
            return None
    if not pending:
        return None
    return jobs.add(KIND, {"parameters": sorted(pending), "versions": pending})


def run(
    job: Job,
    jobs: Jobs,
    definitions: SearchDefinitions,
    reindex: Reindex,
    store: SegmentStore,
    writer: Writer,
    alone: Callable[[], AbstractContextManager[Any]],
    stopping: Callable[[], bool],
) -> dict[str, Any]:
    """Index by all definitions that are pending now, and let them be searched by.

    `alone`: nothing is flushed or merged within. Raises IndexStopped, JobCancelled, FhirError.
    """
    definitions.wait_for_earlier_writes()
    pending = definitions.pending
    types = definitions.types_of(pending)
    with alone(), audit_trail.unobserved():
        total = reindex.count(store, types)
        written = [-1]

        def progress(done: int) -> None:
            step = done * _STEPS // max(total, 1)
            if stopping():
                raise IndexStopped
            if step != written[0]:
                written[0] = step
                jobs.update(job.id, progress={"done": done, "total": total})

        progress(0)
        reindex.run(store, types, progress)
    ready = definitions.mark_ready(writer, pending)
    return {"parameters": sorted(ready), "types": sorted(types), "versions": total}
