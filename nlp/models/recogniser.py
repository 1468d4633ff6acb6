"""Text to mentions by the encoder, whatever runs it: ONNX at run time, torch while training."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import exp

import numpy as np
from numpy.typing import NDArray

from nlp.models.agreement import together
from nlp.models.decoding import Decoder, log_probabilities
from nlp.models.schemes import Scheme
from nlp.models.windows import Reader, Span, Window

# Pieces in one call of the encoder, padding included: memory is bounded by it.
_BATCH_PIECES = 1024

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows side by side, as the encoder takes them; `first` and `last` index the flat batch."""

    ids: Integers
    features: Integers
    first: Integers
    last: Integers


@dataclass(frozen=True, slots=True)
class Recognised:
    """A mention in the text, its type in the scheme, and its score.

    The score is calibrated, or the log probability of its tags where no calibration was given.
    """

    begin: int
    end: int
    kind: str
    score: float


Emissions = Callable[[Batch], NDArray[np.float32]]


def batch_of(windows: Sequence[Window], step: int = 1) -> Batch:
    """Windows padded to the longest of them, and that to a multiple of `step`."""
    length = -max(len(window.ids) for window in windows) // step * -step
    ids = np.zeros((len(windows), length), dtype=np.int64)
    features = np.zeros_like(ids)
    first: list[int] = []
    last: list[int] = []
    for row, window in enumerate(windows):
        ids[row, : len(window.ids)] = window.ids
        features[row, : len(window.ids)] = window.features
        first += [row * length + place for place in window.first]
        last += [row * length + place for place in window.last]
    return Batch(ids, features, np.array(first, dtype=np.int64), np.array(last, dtype=np.int64))


def by_length(windows: Sequence[Window], pieces: int = _BATCH_PIECES) -> Iterator[list[int]]:
    """Numbers of windows to be read together: of like length, and not more than `pieces`."""
    group: list[int] = []
    for number in sorted(range(len(windows)), key=lambda n: -len(windows[n].ids)):
        if group and (len(group) + 1) * len(windows[group[0]].ids) > pieces:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


class Recogniser:
    """Finds the mentions of several schemes in one pass over the text."""

    def __init__(
        self,
        reader: Reader,
        schemes: Sequence[Scheme],
        emissions: Emissions,
        calibrated: Callable[[str, str, float], float] = lambda scheme, kind, log: log,
    ) -> None:
        self._reader = reader
        self._emissions = emissions
        self._calibrated = calibrated
        sizes = [0, *np.cumsum([len(scheme.tags) for scheme in schemes]).tolist()]
        self._columns = {
            scheme.name: slice(begin, end)
            for scheme, (begin, end) in zip(schemes, pairwise(sizes), strict=True)
        }
        self._schemes = {scheme.name: scheme for scheme in schemes}
        self._decoders = {scheme.name: Decoder(scheme) for scheme in schemes}
        self._width = sizes[-1]

    @property
    def schemes(self) -> tuple[str, ...]:
        """The names of the schemes."""
        return tuple(self._decoders)

    def find(
        self, text: str, sentences: Sequence[Span], schemes: Iterable[str] | None = None
    ) -> dict[str, list[Recognised]]:
        """For each scheme its mentions in `text`, in order. `sentences`: spans in order."""
        windows = list(self._reader.windows(text, sentences))
        chosen = tuple(self._decoders if schemes is None else schemes)
        if not windows:
            return {name: [] for name in chosen}
        spans = [span for window in windows for span in window.spans]
        numbers = [number for window in windows for number in window.sentence]
        lengths = [len(list(run)) for _, run in groupby(numbers)]
        scores = self._scores(windows, len(spans))
        words = [text[begin:end] for begin, end in spans]
        made: dict[str, list[Recognised]] = {}
        for name in chosen:
            logs = log_probabilities(scores[:, self._columns[name]])
            scheme = self._schemes[name]
            decoded = list(self._decoders[name].decode_logs(logs, lengths))
            made[name] = [
                Recognised(
                    spans[found.first][0],
                    spans[found.end - 1][1],
                    found.kind,
                    self._calibrated(name, found.kind, found.confidence),
                )
                for found in together(scheme, words, numbers, logs, decoded)
                if exp(found.confidence) >= scheme.least
            ]
        return made

    def _scores(self, windows: Sequence[Window], words: int) -> NDArray[np.float32]:
        scores = np.empty((words, self._width), dtype=np.float32)
        # Windows that say the same are read once: a text that repeats itself without end is cheap.
        known: dict[tuple[tuple[int, ...], ...], int] = {}
        distinct: list[Window] = []
        places: list[list[int]] = []
        start = 0
        for window in windows:
            key = (tuple(window.ids), tuple(window.features), tuple(window.first))
            number = known.setdefault(key, len(distinct))
            if number == len(distinct):
                distinct.append(window)
                places.append([])
            places[number].append(start)
            start += len(window.spans)
        for group in by_length(distinct):
            given = self._emissions(batch_of([distinct[number] for number in group]))
            row = 0
            for number in group:
                count = len(distinct[number].spans)
                for start in places[number]:
                    scores[start : start + count] = given[row : row + count]
                row += count
        return scores
