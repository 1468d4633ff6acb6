"""ONNX Runtime sessions: how many threads, and errors in a person's words."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nlp.models.manifest import ModelError
from nlp.models.recogniser import Batch

# One a process: the service reads notes in several processes, not in several threads.
_THREADS = 1
_ERRORS_ONLY = 3


def session(path: Path) -> onnxruntime.InferenceSession:
    """Load a graph for one core. Raises ModelError for a file that is no graph."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Batches differ in size: an arena would keep what the largest one needed.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot load {path}") from error


class Emissions:
    """The shipped graph as a function of batches."""

    def __init__(self, path: Path) -> None:
        self._session = session(path)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """Tag scores of the words of `batch`."""
        scores: NDArray[np.float32] = self._session.run(
            ["scores"],
            {
                "ids": batch.ids,
                "features": batch.features,
                "first": batch.first,
                "last": batch.last,
            },
        )[0]
        return scores
