"""Supervised training of the encoder and all heads together.

Every batch mixes the corpora; a word counts for the head of its own corpus only. The rate is
constant after a warm-up and falls to nothing at the end; the weights that are kept are a running
mean, which is worth a few tenths of a point of F1 and needs no choice of epoch.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nlp.models.recogniser import Batch, batch_of
from nlp.models.schemes import SCHEMES
from nlp.models.windows import Reader
from nlp.training.corpora import Annotated
from nlp.training.encoder import Recogniser
from nlp.training.examples import Example, epoch

_IGNORED = -100
# Lengths of windows are rounded up to a multiple of this.
LENGTHS = 32


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast. `pieces`: in a batch; `decay`: of the steps, the last ones."""

    steps: int = 2000
    decay: int = 1200
    warmup: int = 200
    pieces: int = 2048
    encoder_rate: float = 1.5e-4
    head_rate: float = 1e-3
    layer_decay: float = 0.9
    weight_decay: float = 0.01
    average: float = 0.995
    features_dropped: float = 0.3
    repeats: dict[str, int] = field(default_factory=lambda: {"maccrobat": 2})
    seed: int = 1

    def share(self, step: int) -> float:
        """The part of the full rate at `step`."""
        return min(1.0, (step + 1) / self.warmup, (self.steps - step) / self.decay)


class RunningMean:
    """An exponential mean of a module's weights, its rate growing with the number of updates."""

    def __init__(self, module: nn.Module, rate: float) -> None:
        self._weights = list(module.parameters())
        self._mean = [weight.detach().clone() for weight in self._weights]
        self._rate = rate
        self._updates = 0

    def update(self) -> None:
        """Take in the weights as they are."""
        self._updates += 1
        rate = min(self._rate, (1 + self._updates) / (10 + self._updates))
        torch._foreach_lerp_(self._mean, [w.detach() for w in self._weights], 1 - rate)

    def swap(self) -> None:
        """Exchange the mean and the module's weights."""
        for weight, mean in zip(self._weights, self._mean, strict=True):
            kept = weight.detach().clone()
            weight.data.copy_(mean)
            mean.copy_(kept)


def parameter_groups(model: Recogniser, schedule: Schedule) -> list[dict[str, object]]:
    """Lower layers learn more slowly: they know the language already."""
    encoder = model.encoder
    depth = encoder.shape.layers
    rates: list[tuple[nn.Module, float]] = [
        (layer, schedule.encoder_rate * schedule.layer_decay ** (depth - 1 - number))
        for number, layer in enumerate(encoder.layers)
    ]
    lowest = schedule.encoder_rate * schedule.layer_decay**depth
    rates += [(encoder.pieces, lowest), (encoder.positions, lowest), (encoder.norm, lowest)]
    rates += [(encoder.features, schedule.head_rate), (model.heads, schedule.head_rate)]
    return [
        {"params": list(module.parameters()), "lr": rate, "full": rate} for module, rate in rates
    ]


def batches(
    documents: Sequence[Annotated], reader: Reader, schedule: Schedule
) -> Iterator[list[Example]]:
    """Without end: each epoch's windows, those of like length together, in random order.

    Batches have few shapes, for each new one costs as much as several steps: a length is rounded
    up, and a batch that is not full is filled with windows of the same length once more.
    """
    rng = random.Random(schedule.seed)  # noqa: S311 - no secret
    while True:
        by_length: dict[int, list[Example]] = {}
        for example in epoch(documents, reader, schedule.repeats, rng):
            length = -len(example.window.ids) // LENGTHS * -LENGTHS
            by_length.setdefault(length, []).append(example)
        made: list[list[Example]] = []
        for length, windows in sorted(by_length.items()):
            rng.shuffle(windows)
            size = schedule.pieces // length
            for begin in range(0, len(windows), size):
                batch = windows[begin : begin + size]
                made.append(batch + rng.choices(windows, k=size - len(batch)))
        rng.shuffle(made)
        yield from made


def tensors(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch as the network takes it."""
    return tuple(
        torch.from_numpy(array).to(device)
        for array in (batch.ids, batch.features, batch.first, batch.last)
    )


def loss_of(scores: Tensor, batch: Sequence[Example]) -> Tensor:
    """Cross entropy, a mean over the words of the batch; each counts for its corpus's head."""
    edges = [0, *np.cumsum([len(scheme.tags) for scheme in SCHEMES]).tolist()]
    total = scores.new_zeros(())
    words = sum(len(example.tags) for example in batch)
    for scheme, (begin, end) in zip(SCHEMES, pairwise(edges), strict=True):
        tags = [
            tag if example.scheme == scheme.name else _IGNORED
            for example in batch
            for tag in example.tags
        ]
        target = torch.tensor(tags, device=scores.device)
        total = total + F.cross_entropy(
            scores[:, begin:end], target, ignore_index=_IGNORED, reduction="sum"
        )
    return total / words


def train(
    model: Recogniser,
    documents: Sequence[Annotated],
    reader: Reader,
    schedule: Schedule,
    told: Callable[[str], None],
    evaluated: Callable[[int], None] = lambda step: None,
    every: int = 400,
) -> None:
    """Train `model` in place on `documents` and leave the mean weights in it.

    `told` gets a line now and then; `evaluated` is called every `every` steps, mean weights in.
    """
    torch.manual_seed(schedule.seed)
    rng = random.Random(schedule.seed + 1)  # noqa: S311
    device = model.encoder.pieces.weight.device
    optimiser = torch.optim.AdamW(
        parameter_groups(model, schedule), weight_decay=schedule.weight_decay, fused=True
    )
    mean = RunningMean(model, schedule.average)
    running = 0.0
    steps = zip(range(schedule.steps), batches(documents, reader, schedule), strict=False)
    for step, batch in steps:
        model.train()
        for group in optimiser.param_groups:
            group["lr"] = group["full"] * schedule.share(step)
        made = batch_of([example.window for example in batch], LENGTHS)
        for row in range(len(batch)):
            if rng.random() < schedule.features_dropped:
                made.features[row] = 0
        loss = loss_of(model(*tensors(made, device)), batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        mean.update()
        running = 0.98 * running + 0.02 * loss.item() if step else loss.item()
        if step % 50 == 0:
            told(f"step {step} of {schedule.steps}, loss {running:.4f}")
        if (step + 1) % every == 0 and step + 1 < schedule.steps:
            mean.swap()
            evaluated(step + 1)
            mean.swap()
    mean.swap()
    evaluated(schedule.steps)
