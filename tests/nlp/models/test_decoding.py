"""Decoding: only sequences of tags that are allowed, and the best of them."""

from itertools import pairwise, product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nlp.models.decoding import Decoder
from nlp.models.schemes import Scheme

_SCHEME = Scheme("test", ("X", "Y"))
_TAGS = _SCHEME.tags


def _allowed(tags: tuple[int, ...]) -> bool:
    names = [_TAGS[tag] for tag in tags]
    if names[0][0] in "IE" or names[-1][0] in "BI":
        return False
    return all(
        (right[0] in "IE" and right[1:] == left[1:]) if left[0] in "BI" else right[0] not in "IE"
        for left, right in pairwise(names)
    )


@given(arrays(np.float32, (3, len(_TAGS)), elements=st.floats(-4, 4, width=32)))
def test_the_best_allowed_sequence(scores: np.ndarray) -> None:
    found = list(Decoder(_SCHEME).decode(scores, [3]))
    logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    best = max(
        sum(logs[word, tag] for word, tag in enumerate(tags))
        for tags in product(range(len(_TAGS)), repeat=3)
        if _allowed(tags)
    )
    inside = {word for one in found for word in range(one.first, one.end)}
    ours = sum(one.confidence for one in found) + sum(
        logs[word, 0] for word in range(3) if word not in inside
    )
    assert abs(ours - best) < 1e-3


def test_no_mention_crosses_a_sentence() -> None:
    scores = np.full((4, len(_TAGS)), -9.0, dtype=np.float32)
    for word, tag in enumerate(("B-X", "I-X", "I-X", "E-X")):
        scores[word, _TAGS.index(tag)] = 9.0
    assert [(f.first, f.end) for f in Decoder(_SCHEME).decode(scores, [4])] == [(0, 4)]
    for one in Decoder(_SCHEME).decode(scores, [2, 2]):
        assert (one.first < 2) == (one.end <= 2)
