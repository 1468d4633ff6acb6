"""A Hugging Face token classifier exported to ONNX: `model.onnx`, `config.json`, a tokenizer.

The folder is what `optimum-cli export onnx` writes. `vocab.txt` (BERT's WordPiece) is read here;
any other tokenizer needs `tokenizer.json` and the package `tokenizers`.
"""

import importlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlp.models.manifest import ModelError
from nlp.models.recogniser import Recognised, by_length
from nlp.models.runtime import session
from nlp.models.windows import Pieces, Reader, Span, Window
from nlp.models.wordpiece import WordPiece

GRAPHS = ("model.onnx", "onnx/model.onnx")
_LABEL = re.compile(r"(?:(?P<part>[BIESLU])[-_])?(?P<kind>.+)")
_OUTSIDE = "O"
_BEGINS = frozenset("BSU")
_MAX_WINDOW = 256


class _Tokenizer:
    """Words to ids by a `tokenizer.json`, one word at a time."""

    def __init__(self, path: Path) -> None:
        try:
            tokenizers: Any = importlib.import_module("tokenizers")
        except ImportError as error:
            raise ModelError(
                f"{path} needs the package tokenizers: pip install tokenizers"
            ) from error
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self._known: dict[str, tuple[int, ...]] = {}

    def pieces(self, word: str) -> tuple[int, ...]:
        """The ids of a word that stands after a blank."""
        known = self._known.get(word)
        if known is None:
            if len(self._known) > 200_000:
                self._known.clear()
            encoded = self._tokenizer.encode(f" {word}", add_special_tokens=False)
            known = self._known[word] = tuple(encoded.ids) or (self.special("[UNK]", "<unk>"),)
        return known

    def special(self, *names: str) -> int:
        """The id of the first of `names` that the vocabulary has, else 0."""
        return next(
            (i for name in names if (i := self._tokenizer.token_to_id(name)) is not None), 0
        )


@dataclass(frozen=True, slots=True)
class _Special:
    begin: int
    end: int
    pad: int


class TokenClassifier:
    """Runs the classifier over sentences; labels `B-X I-X`, `S E L U` and plain `X` are read."""

    def __init__(self, folder: Path) -> None:
        graph = next((folder / name for name in GRAPHS if (folder / name).is_file()), None)
        if graph is None:
            raise ModelError(f"{folder} holds no model.onnx")
        config = _json(folder / "config.json")
        labels = config.get("id2label")
        if not isinstance(labels, dict) or not labels:
            raise ModelError(f"{folder / 'config.json'} has no id2label")
        self.labels = [str(labels.get(str(n), _OUTSIDE)) for n in range(len(labels))]
        self._session = session(graph)
        self._inputs = {given.name for given in self._session.get_inputs()}
        size = min(_MAX_WINDOW, int(config.get("max_position_embeddings", 512)) - 4)
        pieces, self._special = _pieces(folder)
        self._reader = Reader(pieces, None, size, (self._special.begin, self._special.end))

    @property
    def kinds(self) -> set[str]:
        """The types that its labels name."""
        return {kind for _, kind in map(_parts, self.labels) if kind != _OUTSIDE}

    def find(self, text: str, sentences: Sequence[Span]) -> list[Recognised]:
        """The mentions, in order; the score is the mean probability of the words' labels."""
        windows = list(self._reader.windows(text, sentences))
        found: list[Recognised] = []
        for group in by_length(windows):
            chosen = [windows[number] for number in group]
            for window, chances in zip(chosen, self._run(chosen), strict=True):
                found += self._mentions(window, chances)
        return sorted(found, key=lambda one: one.begin)

    def _run(self, windows: Sequence[Window]) -> Iterator[NDArray[np.float32]]:
        length = max(len(window.ids) for window in windows)
        ids = np.full((len(windows), length), self._special.pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, window in enumerate(windows):
            ids[row, : len(window.ids)] = window.ids
            mask[row, : len(window.ids)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        logits = self._session.run(None, {k: v for k, v in given.items() if k in self._inputs})[0]
        for row, window in enumerate(windows):
            chosen = np.asarray(logits[row][window.first], dtype=np.float32)
            raised = np.exp(chosen - chosen.max(axis=1, keepdims=True))
            yield raised / raised.sum(axis=1, keepdims=True)

    def _mentions(self, window: Window, chances: NDArray[np.float32]) -> Iterator[Recognised]:
        best = chances.argmax(axis=1)
        rows = range(len(window.spans))
        for _, run in groupby(rows, key=lambda row: window.sentence[row]):
            begin: int | None = None
            last = -1
            open_kind = ""
            for row in run:
                part, kind = _parts(self.labels[best[row]])
                starts = kind != _OUTSIDE and (kind != open_kind or part in _BEGINS)
                if begin is not None and (kind == _OUTSIDE or starts):
                    yield _mention(window, chances, best, range(begin, last + 1), open_kind)
                    begin, open_kind = None, ""
                if starts:
                    begin, open_kind = row, kind
                last = row
            if begin is not None:
                yield _mention(window, chances, best, range(begin, last + 1), open_kind)


def _mention(
    window: Window,
    chances: NDArray[np.float32],
    best: NDArray[np.int64],
    rows: range,
    kind: str,
) -> Recognised:
    score = float(np.mean([chances[row, best[row]] for row in rows]))
    return Recognised(window.spans[rows[0]][0], window.spans[rows[-1]][1], kind, score)


def _parts(label: str) -> tuple[str, str]:
    if label == _OUTSIDE:
        return "", _OUTSIDE
    match = _LABEL.fullmatch(label)
    return ("", label) if match is None else (match["part"] or "", match["kind"])


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read") from error
    except ValueError as error:
        raise ModelError(f"{path} is not JSON") from error
    if not isinstance(read, dict):
        raise ModelError(f"{path} is not a JSON object")
    return read


def _pieces(folder: Path) -> tuple[Pieces, _Special]:
    if (folder / "vocab.txt").is_file():
        names = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        config = folder / "tokenizer_config.json"
        cased = config.is_file() and _json(config).get("do_lower_case") is False
        wordpiece = WordPiece(names, lower=not cased)
        try:
            special = _Special(*(wordpiece.id_of(n) for n in ("[CLS]", "[SEP]", "[PAD]")))
        except KeyError as error:
            raise ModelError(f"{folder / 'vocab.txt'} lacks {error.args[0]}") from error
        return wordpiece, special
    if (folder / "tokenizer.json").is_file():
        tokenizer = _Tokenizer(folder / "tokenizer.json")
        return tokenizer, _Special(
            tokenizer.special("[CLS]", "<s>"),
            tokenizer.special("[SEP]", "</s>"),
            tokenizer.special("[PAD]", "<pad>"),
        )
    raise ModelError(f"{folder} holds neither vocab.txt nor tokenizer.json")
