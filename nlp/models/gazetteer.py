"""The dictionary as the recogniser sees it: for each word, whether it begins or continues a name.

Frozen with the weights, for they were trained on exactly these names. The longest name wins, from
the left.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nlp.mention import CATEGORIES

CHEMICAL = "CHEMICAL"
KINDS = (*CATEGORIES, CHEMICAL)
# Feature 0: no name; then a pair for each kind: first word, further word.
FEATURES = 1 + 2 * len(KINDS)
_END = ""


class Gazetteer:
    """`names`: pairs of a kind and the name's words. A word `=Xy` matches in that case only."""

    def __init__(self, names: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._root: dict[str, dict[str, object]] = {}
        for kind, words in names:
            node: dict[str, object] = self._root  # type: ignore[assignment]
            for word in words:
                node = node.setdefault(word, {})  # type: ignore[assignment]
            node.setdefault(_END, 1 + 2 * KINDS.index(kind))

    @classmethod
    def read(cls, path: Path) -> "Gazetteer":
        """From the file that `write` makes."""
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            return cls(_rows(stream))

    def features(self, words: Sequence[str]) -> list[int]:
        """The feature of each word of a sentence."""
        found = [0] * len(words)
        lower = [word.lower() for word in words]
        at = 0
        while at < len(words):
            feature, end = self._longest(words, lower, at)
            if end == at:
                at += 1
                continue
            found[at] = feature
            found[at + 1 : end] = [feature + 1] * (end - at - 1)
            at = end
        return found

    def _longest(self, words: Sequence[str], lower: Sequence[str], at: int) -> tuple[int, int]:
        best = (0, at)
        for exact in (False, True):
            node: dict[str, object] | None = self._root  # type: ignore[assignment]
            for place in range(at, len(words)):
                key = "=" + words[place] if exact else lower[place]
                node = node.get(key)  # type: ignore[assignment, union-attr]
                if node is None:
                    break
                feature = node.get(_END)
                if feature is not None and place + 1 > best[1]:
                    best = (feature, place + 1)  # type: ignore[assignment]
        return best


def _rows(lines: Iterable[str]) -> Iterator[tuple[str, Sequence[str]]]:
    for line in lines:
        kind, words = line.rstrip("\n").split("\t")
        yield kind, words.split(" ")


def write(path: Path, names: Iterable[tuple[str, Sequence[str]]]) -> int:
    """Write names sorted and without the time, so that the same names give the same file."""
    lines = sorted({f"{kind}\t{' '.join(words)}\n" for kind, words in names})
    path.write_bytes(gzip.compress("".join(lines).encode("utf-8"), mtime=0))
    return len(lines)
