"""The gate that commits pass: all at once, or one thread alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CommitGate:
    """Lets many threads through side by side, until one wants to be alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._alone: int | None = None

    @contextmanager
    def passing(self) -> Iterator[None]:
        """A commit; waits while another thread is alone."""
        me = threading.get_ident()
        with self._changed:
            while self._alone not in (None, me):
                self._changed.wait()
            self._inside += 1
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> bool:
        """Begin a commit that ends with `leave`, unless it would have to wait (False)."""
        with self._changed:
            if self._alone is not None:
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """A commit that was begun with `enter` has ended; any thread may tell."""
        with self._changed:
            self._inside -= 1
            if self._alone is not None and not self._inside:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else's commit is under way in the block, nor begins in it.

        Not within a commit of the same thread (`passing`), which it would wait for.
        """
        me = threading.get_ident()
        with self._changed:
            mine = self._alone == me
            while self._alone is not None and not mine:
                self._changed.wait()
            self._alone = me
            while self._inside:
                self._changed.wait()
        try:
            yield
        finally:
            if not mine:
                with self._changed:
                    self._alone = None
                    self._changed.notify_all()
