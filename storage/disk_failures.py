"""What a failure of the disk means for a commit, and what its callers are told.

A full disk refuses a commit and nothing else: SQLite takes back what it had begun. After a failed
write or fsync it is not known what is on the disk, and asking again proves nothing: the kernel may
have dropped the pages and call the next fsync a success (https://wiki.postgresql.org/wiki/Fsync_Errors).
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import TypeGuard

import apsw

from schemas.outcomes import FhirError, error

FULL = "The disk is full; nothing was stored. Make room: the lake goes on by itself."

# Failures of the shared memory beside the WAL happen before anything is written: it grows by a
# file of its own, which a full disk refuses in this way.
_BEFORE_WRITING = frozenset(
    {apsw.SQLITE_IOERR_SHMSIZE, apsw.SQLITE_IOERR_SHMOPEN, apsw.SQLITE_IOERR_SHMMAP}
)

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_DAMAGE = (apsw.IOError, apsw.CorruptError, apsw.NotADBError)
_DISK = (*_DAMAGE, apsw.FullError, apsw.NoMemError, apsw.ReadOnlyError, apsw.CantOpenError)


def concerns_disk(failure: apsw.Error) -> bool:
    """Whether the database or its disk is in trouble, rather than one statement."""
    return isinstance(failure, _DISK)


def is_full(failure: apsw.Error) -> bool:
    """Whether there was no room, and nothing was written."""
    return isinstance(failure, apsw.FullError) or _extended(failure) in _BEFORE_WRITING


def is_beyond_repair(failure: apsw.Error) -> bool:
    """Whether it is not known any more what is on the disk, until the lake is opened anew."""
    return isinstance(failure, apsw.IOError | apsw.CorruptError | apsw.NotADBError) and not is_full(
        failure
    )


def stopped(failure: apsw.Error) -> str:
    """Why the lake stores nothing more, in one line."""
    return (
        f"The lake stopped writing after a disk failure ({_name(failure)}). "
        "Check the disk, then restart: what was acknowledged is kept."
    )


def refusal(failure: apsw.Error) -> FhirError:
    """What the callers of a commit are told that met the failure."""
    if is_full(failure):
        return error("unavailable", FULL)
    if isinstance(failure, apsw.ReadOnlyError | apsw.CantOpenError):
        return error(
            "unavailable",
            f"The disk cannot be written to ({_name(failure)}); nothing was stored. "
            "Make it writable: the lake goes on by itself.",
        )
    return error(
        "unavailable",
        f"The database (hot.db) failed on the commit ({_name(failure)}); nothing was "
        "acknowledged. Read before you repeat it.",
    )


@contextlib.contextmanager
def naming_damage() -> Iterator[None]:
    """What cannot be read for damage to the database is told as FhirError `internal`."""
    try:
        yield
    except _DAMAGE as failure:
        raise damaged(failure) from None


def damaged(failure: apsw.Error) -> FhirError:
    """What a reader is told that met the failure."""
    return error(
        "internal",
        f"hot.db cannot be read ({_name(failure)}): a part of it is damaged, or its disk. "
        "What does not need that part is answered as ever. Run `chartlake verify`, and restore "
        "a backup.",
    )


def is_damage(failure: BaseException | None) -> TypeGuard[apsw.Error]:
    """Whether a failed reading met damage."""
    return isinstance(failure, _DAMAGE)


def file_refusal(failure: Exception) -> FhirError:
    """What is told when a file beside the database could not be written, and was removed again."""
    number = getattr(failure, "errno", None)
    if number in _NO_ROOM:
        return error("unavailable", FULL)
    name = errno.errorcode.get(number or 0, type(failure).__name__)
    return error(
        "unavailable",
        f"The disk failed while a segment was written ({name}); nothing was lost. Check the disk.",
    )


def _extended(failure: apsw.Error) -> int:
    return int(getattr(failure, "extendedresult", 0))


def _name(failure: apsw.Error) -> str:
    """SQLite's name of the failure, `IOERR_FSYNC` rather than `IOError` where it says more."""
    known = apsw.mapping_extended_result_codes
    text = known.get(_extended(failure)) if _extended(failure) else None
    return str(text).removeprefix("SQLITE_") if text else type(failure).__name__
