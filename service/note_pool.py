"""The worker processes that read notes: started, submitted to, and killed when stuck."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from service import note_reader


class NotePool:
    """Processes with a loaded pipeline each; they start with the first use."""

    def __init__(self, workers: int, model: str, terminology: str | None = None) -> None:
        """`model`: setting `nlp_model`; `terminology`: the folder of loaded releases."""
        self.workers = max(1, workers)
        self._model = model
        self._terminology = terminology
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = None

    def load(self) -> str:
        """Start all processes, wait for their pipelines, and return the pipeline's version."""
        # Processes start as work finds none idle: one piece each starts them all.
        started = [self.submit(note_reader.ready) for _ in range(self.workers)]
        versions: list[str] = [future.result() for future in started]
        return versions[0]

    @property
    def is_started(self) -> bool:
        """Whether processes are running (or loading)."""
        return self._executor is not None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run a function of `note_reader` in a worker."""
        with self._lock:
            if self._executor is None:
                self._executor = self._start()
            try:
                return self._executor.submit(function, *arguments)
            except BrokenProcessPool:  # A worker was killed from outside while it was idle.
                self._executor = self._start()
                return self._executor.submit(function, *arguments)

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=self.workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=note_reader.load,
            initargs=(self._model, self._terminology),
        )

    def kill(self) -> None:
        """End the processes at once, whatever they do; the next submit starts new ones."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            for process in list((getattr(executor, "_processes", None) or {}).values()):
                process.kill()
            executor.shutdown(wait=False, cancel_futures=True)
