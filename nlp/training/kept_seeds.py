"""Weights of seeds that were trained already: a run that breaks off loses one seed at most."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nlp.models.manifest import FILES, WEIGHTS, digest
from nlp.training.encoder import Shape
from nlp.training.finetune import Schedule

_MADE_BY = "made_by"


class KeptSeeds:
    """A folder with a file for each seed, and in it by what it was trained.

    Another schedule, vocabulary or dictionary than that which a file names, and the seed is trained
    again. Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, model: Path, shape: Shape) -> None:
        """`model`: the folder that the vocabulary and the dictionary were written to."""
        self._folder = folder
        self._shape = shape
        self._read = {name: digest(model / name) for name in FILES if name != WEIGHTS}

    def get(self, schedule: Schedule) -> dict[str, Tensor] | None:
        """The weights of a seed; None where there are none by this schedule."""
        if self._folder is None or not self._path(schedule).is_file():
            return None
        with safe_open(self._path(schedule), "pt") as file:
            if (file.metadata() or {}).get(_MADE_BY) != self._made_by(schedule):
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict

    def keep(self, schedule: Schedule, weights: dict[str, Tensor]) -> None:
        """Write the weights of a seed, whole or not at all."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(schedule)
        unnamed = path.with_suffix(".new")
        tensors = {name: value.contiguous() for name, value in weights.items()}
        save_file(tensors, unnamed, {_MADE_BY: self._made_by(schedule)})
        unnamed.replace(path)

    def _path(self, schedule: Schedule) -> Path:
        assert self._folder is not None
        return self._folder / f"seed-{schedule.seed}.safetensors"

    def _made_by(self, schedule: Schedule) -> str:
        made = {"schedule": asdict(schedule), "shape": asdict(self._shape), "read": self._read}
        return json.dumps(made, sort_keys=True)
