"""Processes that are forked to be killed, and what they said before.

The process that forks opens no lake and starts no thread, so a child begins in a millisecond, with
everything imported. What a child says is pickled through a pipe, and is there when it returns.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Say = Callable[..., None]

HUNG_S = 120


@dataclass
class Ended:
    """How a child ended: what it said, whether it was killed, what it wrote to stderr."""

    said: list[tuple[Any, ...]] = field(default_factory=list)
    killed: bool = False
    stderr: str = ""


def run(work: Callable[[Say], None], *, kill_after_s: float | None = None) -> Ended:
    """Run `work` in a child, which may kill itself, or is killed after some seconds.

    Raises AssertionError when it failed, wrote to stderr, or hung.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as errors:
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.dup2(errors.fileno(), 2)
            _child(work, writing)
        os.close(writing)
        data, killed_here = _listen(reading, child, kill_after_s)
        os.close(reading)
        _, status = os.waitpid(child, 0)
        errors.seek(0)
        ended = Ended(_messages(data), os.WIFSIGNALED(status), errors.read().decode())
    assert not ended.stderr, f"a process wrote to stderr:\n{ended.stderr}"
    if ended.killed:
        assert os.WTERMSIG(status) == signal.SIGKILL, f"signal {os.WTERMSIG(status)}"
    assert ended.killed or os.WEXITSTATUS(status) == 0, ended.said[-1]
    assert not (killed_here and kill_after_s is None), "it hung"
    return ended


def _child(work: Callable[[Say], None], writing: int) -> None:
    # Captured before failpoints may be patched in; one write a message, from whichever thread.
    def say(*message: Any) -> None:
        packed = pickle.dumps(message)
        data = struct.pack("<I", len(packed)) + packed
        while data:
            data = data[os.write(writing, data) :]

    status = 1
    try:
        work(say)
        status = 0
    except BaseException:
        with contextlib.suppress(OSError):
            say("failed", traceback.format_exc())
    os._exit(status)


def _listen(reading: int, child: int, kill_after_s: float | None) -> tuple[bytes, bool]:
    data = bytearray()
    until = time.monotonic() + (HUNG_S if kill_after_s is None else kill_after_s)
    killed = False
    while True:
        left = None if killed else max(until - time.monotonic(), 0)
        if not select.select([reading], [], [], left)[0]:
            os.kill(child, signal.SIGKILL)
            killed = True
            continue
        block = os.read(reading, 1 << 20)
        if not block:
            return bytes(data), killed
        data += block


def _messages(data: bytes) -> list[tuple[Any, ...]]:
    """Whole messages; one that the kill cut off was not said."""
    found, at = [], 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        if at + 4 + size > len(data):
            break
        found.append(pickle.loads(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return found
