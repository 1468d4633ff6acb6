"""Is the spool of the audit log what was written to it? Nothing is changed by looking."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from storage import spool_positions
from storage.audit import AuditLog
from storage.audit_intake import files, has_ended
from storage.audit_spool import START, DamagedError, SpoolCodec
from storage.database import Database
from storage.spool_positions import DAMAGED, OPEN, REMOVED, Taken
from storage.verify import Finding

_KEPT = ".damaged"


def verify_spool(
    folder: Path, codec: SpoolCodec, log: AuditLog, database: Database
) -> Iterator[Finding]:
    """What is wrong with files of the spool, and with what the database says of them."""
    with database.reading() as connection:
        before, _ = spool_positions.read(connection, log, "1")
    names = files(folder)
    for path in sorted(folder.glob(f"*{_KEPT}*")):
        yield Finding(
            _place(path.name),
            "it is not what was written, so the accesses in it are not all in the audit log. "
            "Find out why; it is kept until you remove it",
        )
    problems = {name: _problem(folder / name, codec, before.get(name, Taken())) for name in names}
    # Files come and go meanwhile: what counts is what is said of them afterwards.
    with database.reading() as connection:
        now, wrong = spool_positions.read(connection, log, "1")
    for name in sorted(wrong):
        yield Finding(_place(name), "what the database says of it was changed")
    for name, problem in problems.items():
        if problem and name not in wrong and now.get(name, Taken()).state != DAMAGED:
            yield Finding(_place(name), problem)
    for name, taken in now.items():
        gone = taken.state == OPEN and name in before and name not in names
        if taken.state == REMOVED or (gone and not (folder / name).exists()):
            yield Finding(
                _place(name), f"it was removed after {taken.place.frames} records were taken in"
            )


def _problem(path: Path, codec: SpoolCodec, taken: Taken) -> str:
    """Empty when the file is sound, or not there any more."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return ""
    except OSError as failure:
        return f"it cannot be read ({failure.strerror}), so it is not taken into the audit log"
    try:
        ended = has_ended(descriptor)
        content = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    except OSError as failure:
        return f"it cannot be read ({failure.strerror}), so it is not taken into the audit log"
    finally:
        os.close(descriptor)
    place = START
    reached = taken.place == place
    try:
        for frame in codec.frames(path.name, content, place):
            place = frame.end
            reached = reached or taken.place == place
    except DamagedError as failure:
        return str(failure)
    if not reached:
        return "records that were taken in already are missing in it"
    if ended and place.offset < len(content):
        return "its last record is not whole"
    return ""


def _place(name: str) -> str:
    return f"audit-spool/{name}"
