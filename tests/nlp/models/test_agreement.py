"""All places of a name are decided together."""

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nlp.models.agreement import together
from nlp.models.decoding import Decoder, Found, log_probabilities
from nlp.models.schemes import Scheme

SCHEME = Scheme("test", ("Drug", "Sign"), 0.4)


def _logs(words: list[str], sure: dict[int, tuple[str, float]]) -> np.ndarray:
    """Every word is outside but those of `sure`: alone, of a kind, with a probability."""
    probabilities = np.full((len(words), len(SCHEME.tags)), 1e-4)
    probabilities[:, 0] = 1
    for place, (kind, share) in sure.items():
        probabilities[place, 0] = 1 - share
        probabilities[place, SCHEME.tag(kind, 1, 0)] = share
    return np.log(probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def _read(
    text: str, sure: dict[int, tuple[str, float]], scheme: Scheme = SCHEME
) -> list[tuple[int, int, str]]:
    words = text.split()
    sentences = np.cumsum([0] + [word == "." for word in words[:-1]]).tolist()
    lengths = [sentences.count(number) for number in dict.fromkeys(sentences)]
    logs = _logs(words, sure)
    found = list(Decoder(scheme).decode_logs(logs, lengths))
    return [
        (one.first, one.end, one.kind) for one in together(scheme, words, sentences, logs, found)
    ]


def test_a_name_that_is_clear_elsewhere_is_found_where_it_was_missed() -> None:
    sure = {0: ("Drug", 0.95), 3: ("Drug", 0.3)}
    assert _read("Xydol works . xydol fails", sure) == [(0, 1, "Drug"), (3, 4, "Drug")]


def test_a_name_that_is_doubtful_nearly_everywhere_is_none() -> None:
    sure = {0: ("Drug", 0.6), 3: ("Drug", 0.1), 6: ("Drug", 0.1)}
    assert _read("xydol works . xydol fails . xydol ends", sure) == []


def test_a_name_that_stands_once_stays_as_it_is() -> None:
    assert _read("xydol works", {0: ("Drug", 0.6)}) == [(0, 1, "Drug")]


def test_a_short_form_goes_with_what_it_stands_for() -> None:
    text = "xydoline acid ( XA ) works . XA fails"
    words = text.split()
    logs = _logs(words, {3: ("Drug", 0.3), 7: ("Drug", 0.3)})
    for place, part in ((0, "B"), (1, "E")):
        logs[place] = np.log(1e-4)
        logs[place, SCHEME.tags.index(f"{part}-Drug")] = 0
    found = list(Decoder(SCHEME).decode_logs(logs, [6, 3]))
    assert [(one.first, one.end) for one in found] == [(0, 2)]
    decided = together(SCHEME, words, [0] * 6 + [1] * 3, logs, found)
    assert [(one.first, one.end) for one in decided] == [(0, 2), (3, 4), (7, 8)]


def test_a_short_word_in_capitals_is_another_word() -> None:
    sure = {0: ("Drug", 0.95), 3: ("Drug", 1e-4)}
    assert _read("ALL helps . all fails", sure) == [(0, 1, "Drug")]


def test_two_kinds_of_one_name_become_the_likelier() -> None:
    sure = {0: ("Drug", 0.9), 3: ("Sign", 0.6)}
    assert _read("xydol works . xydol fails", sure) == [(0, 1, "Drug"), (3, 4, "Drug")]


def test_a_scheme_without_agreement_is_left_alone() -> None:
    sure = {0: ("Drug", 0.95), 3: ("Drug", 0.3)}
    alone = Scheme(SCHEME.name, SCHEME.types)
    assert _read("xydol works . xydol fails", sure, alone) == [(0, 1, "Drug")]


_TEXTS = st.lists(st.sampled_from(["a", "b", "AB", "(", ")", "."]), min_size=1, max_size=25)


@given(_TEXTS, st.integers(0, 2**32 - 1))
def test_mentions_are_in_order_apart_and_each_in_one_sentence(words: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = log_probabilities(rng.normal(size=(len(words), len(SCHEME.tags))).astype(np.float32) * 3)
    sentences = np.cumsum([0] + [word == "." for word in words[:-1]]).tolist()
    lengths = [sentences.count(number) for number in dict.fromkeys(sentences)]
    found = list(Decoder(SCHEME).decode_logs(logs, lengths))
    decided = together(SCHEME, words, sentences, logs, found)
    end = 0
    for one in decided:
        assert end <= one.first < one.end <= len(words)
        assert sentences[one.first] == sentences[one.end - 1]
        assert one.kind in SCHEME.types and one.confidence <= 1e-6
        end = one.end


def test_a_text_of_one_word_over_and_over_takes_time_by_its_length() -> None:
    def seconds(count: int) -> float:
        words = ["a"] * count
        logs = _logs(words, {})
        found = [Found(n, n + 1 + n % 8, "Drug", -0.1) for n in range(0, count - 9, 9)]
        began = time.process_time()
        together(SCHEME, words, [0] * count, logs, found)
        return time.process_time() - began

    seconds(1_000)
    assert seconds(40_000) < 40 * max(seconds(4_000), 0.02)
