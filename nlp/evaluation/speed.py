"""Speed of the whole pipeline, linking included, over MTSamples: one process; a pool of two."""

from __future__ import annotations

import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from nlp.annotator import Annotator
from nlp.evaluation import corpora
from nlp.evaluation.figure import Figure, Result

_NOTES = 300
_PROCESSES = 2

_annotator: Annotator | None = None


def speed(folder: Path) -> Result:
    """Characters and words a second, memory, and the start; each part of it by its own clock."""
    began, wall = time.process_time(), time.perf_counter()
    annotator = Annotator.load()
    annotator.annotate("Aspirin 81 mg daily for CAD.")
    cold_cpu, cold = time.process_time() - began, time.perf_counter() - wall
    texts = [document.text for document in corpora.mtsamples(folder)][:_NOTES]
    characters, words = sum(map(len, texts)), sum(len(text.split()) for text in texts)
    began = time.process_time()
    for text in texts:
        annotator.annotate(text)
    cpu = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pooled = _pooled(texts)
    rows = [
        ("start", "s", cold),
        ("start", "CPU s", cold_cpu),
        ("one process", "characters/CPU s", characters / cpu),
        ("one process", "words/CPU s", words / cpu),
        ("one process", "peak MB", peak),
        (f"{_PROCESSES} processes", "characters/s", characters / pooled),
    ]
    return Result(
        [Figure("speed", item, measure, value, support=_NOTES) for item, measure, value in rows]
    )


def _pooled(texts: list[str]) -> float:
    """Seconds that a pool of loaded processes takes for all texts."""
    with ProcessPoolExecutor(
        _PROCESSES, mp_context=get_context("spawn"), initializer=_load
    ) as pool:
        list(pool.map(_ready, range(_PROCESSES * 4)))
        began = time.perf_counter()
        # Longest first: none is left to one process alone at the end.
        list(pool.map(_annotate, sorted(texts, key=len, reverse=True)))
        return time.perf_counter() - began


def _load() -> None:
    global _annotator
    os.environ["OMP_NUM_THREADS"] = "1"
    _annotator = Annotator.load()


def _ready(_number: int) -> bool:
    time.sleep(0.2)
    return _annotator is not None


def _annotate(text: str) -> int:
    if _annotator is None:
        raise RuntimeError("the process was not initialised")
    return len(_annotator.annotate(text))
