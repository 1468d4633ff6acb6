"""SIGKILL at the n-th place where a process makes something durable or visible.

Places, in one count over all threads: before each `os.fsync`, `os.rename` (and `replace`),
`os.unlink` (and `remove`) and COMMIT; after each COMMIT, and after each file was made and is empty.
Patched from here, in the process that is to die: the product knows nothing of it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import apsw

from storage.checkpoints import Checkpoints


class Failpoints:
    """Counts places once `arm` was called, and kills this process at the chosen one."""

    def __init__(self) -> None:
        """Patches this process; before anything is opened in it."""
        self._left = 0
        self._lock = threading.Lock()
        for name in ("fsync", "rename", "replace", "unlink", "remove"):
            setattr(os, name, self._before(getattr(os, name)))
        os.open = self._after_making(os.open)  # type: ignore[assignment]
        apsw.connection_hooks.append(self._watch)
        committed = Checkpoints._committed

        def after_commit(checkpoints: Checkpoints, *told: Any) -> int:
            self.pass_by()
            return committed(checkpoints, *told)

        Checkpoints._committed = after_commit  # type: ignore[method-assign]

    def arm(self, n: int) -> None:
        """Die at the n-th place from now on; 0: never."""
        self._left = n

    def pass_by(self) -> None:
        """One place."""
        with self._lock:
            if not self._left:
                return
            self._left -= 1
            if self._left:
                return
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def _before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self.pass_by()
            return real(*arguments, **more)

        return call

    def _after_making(self, real: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *more: Any, **named: Any) -> int:
            descriptor = real(path, flags, *more, **named)
            if flags & (os.O_EXCL | os.O_TRUNC):
                self.pass_by()
            return descriptor

        return call

    def _watch(self, connection: apsw.Connection) -> None:
        def before_commit() -> bool:
            self.pass_by()
            return False

        connection.set_commit_hook(before_commit)
