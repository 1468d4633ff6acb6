"""The evaluations by name. **A new one is registered here, by one line.**

Each takes the folder that CHARTLAKE_DATA names and gives a `Result`; it is imported when it is run,
so that one that needs more than another costs nobody else anything.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from nlp.evaluation.figure import Result

_MODULES = {
    "model": "nlp.evaluation.model:model",
    "bc5cdr": "nlp.evaluation.recognition:bc5cdr",
    "ncbi": "nlp.evaluation.recognition:ncbi_disease",
    "maccrobat": "nlp.evaluation.recognition:maccrobat",
    "negex": "nlp.evaluation.assertion:negex",
    "polarity": "nlp.evaluation.assertion:polarity",
    "sections": "nlp.evaluation.headers:sections",
    "sigs": "nlp.evaluation.dosage:sigs",
    "phee": "nlp.evaluation.attachment:phee",
    "linking": "nlp.evaluation.linking:linking",
    "lab_values": "nlp.evaluation.lab_values:lab_values",
    "phi": "nlp.evaluation.phi:phi",
    "speed": "nlp.evaluation.speed:speed",
}
NAMES = tuple(_MODULES)


def evaluation(name: str) -> Callable[[Path], Result]:
    """The evaluation of that name. Raises KeyError for what is none."""
    module, _, function = _MODULES[name].partition(":")
    found: Callable[[Path], Result] = getattr(import_module(module), function)
    return found
