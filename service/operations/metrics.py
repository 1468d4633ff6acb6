"""`GET /metrics`: figures for Prometheus, in its text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/. Counts and sizes only: no id, no value
of a resource. With authentication the scraper needs a token, as everyone else.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from importlib.metadata import version

from fastapi import APIRouter
from starlette.responses import PlainTextResponse, Response

from service.context import Context, Ctx

router = APIRouter()

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STARTED = time.time()


@router.get("/metrics", summary="figures for Prometheus", response_class=PlainTextResponse)
def metrics(ctx: Ctx) -> Response:
    """The lake, the queue of notes and the process, one line a figure."""
    return Response("".join(f"{line}\n" for line in _lines(ctx)), media_type=MEDIA_TYPE)


def _lines(ctx: Context) -> Iterator[str]:
    yield from _metric(
        "chartlake_build_info", "gauge", "The version that runs.",
        {f'{{version="{version("chartlake")}"}}': 1},
    )  # fmt: skip
    yield from _lake(ctx)
    yield from _notes(ctx)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield from _metric(
        "process_cpu_seconds_total", "counter", "Processor time of the serving process.",
        {"": round(usage.ru_utime + usage.ru_stime, 2)},
    )  # fmt: skip
    yield from _metric(
        "process_start_time_seconds", "gauge", "When it was started (Unix time).",
        {"": round(_STARTED, 2)},
    )  # fmt: skip


def _lake(ctx: Context) -> Iterator[str]:
    stats = ctx.lake.stats()
    yield from _metric(
        "chartlake_resources", "gauge", "Current resources by type.",
        {f'{{type="{name}"}}': count for name, count in sorted(stats["resources"].items())},
    )  # fmt: skip
    for name, text in (
        ("t", "The last commit."),
        ("segments", "Segment files."),
        ("bytes", "Bytes on disk."),
    ):
        if name in stats:
            yield from _metric(
                f"chartlake_{'commit' if name == 't' else name}", "gauge", text, {"": stats[name]}
            )
    yield from _metric(
        "chartlake_lake_stopped", "gauge", "1 when a failed disk has stopped all writing.",
        {"": int(ctx.lake.failure is not None)},
    )  # fmt: skip


def _notes(ctx: Context) -> Iterator[str]:
    enricher = ctx.enricher
    notes_per_s, characters_per_s = enricher.rate.per_second()
    rate = enricher.rate
    for name, kind, text, value in (
        ("ready", "gauge", "1 when the note reader is loaded.", int(enricher.state == "ready")),
        ("unread", "gauge", "Versions of notes not read yet.", enricher.backlog()),
        ("retrying", "gauge", "Notes that wait to be tried again.", enricher.retrying()),
        ("rereading", "gauge", "Versions of notes still to be reread.", enricher.rereading()),
        ("read_total", "counter", "Notes read since the start.", rate.notes),
        ("failed_total", "counter", "Notes that could not be read, since the start.",
         rate.failures),
        ("characters_total", "counter", "Characters read since the start.", rate.characters),
        ("per_second", "gauge", "Notes a second, last minute.", round(notes_per_s, 3)),
        ("characters_per_second", "gauge", "Characters a second, last minute.",
         round(characters_per_s, 1)),
    ):  # fmt: skip
        yield from _metric(f"chartlake_notes_{name}", kind, text, {"": value})


def _metric(name: str, kind: str, text: str, values: dict[str, int | float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{labels} {value}"
