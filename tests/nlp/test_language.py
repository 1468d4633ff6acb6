"""Tokens and norms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.language import blank, clinical_norm, run_cuts

NLP = blank()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("120/80mmHg", ["120", "/", "80", "mmHg"]),
        ("500mg", ["500", "mg"]),
        ("type-2", ["type", "-", "2"]),
        ("1,200", ["1,200"]),
        ("<0.01", ["<", "0.01"]),
        ("HbA1c:8.4%", ["HbA1c", ":", "8.4", "%"]),
        ("Crohn’s", ["Crohn", "’s"]),
        ("didn't", ["didn't"]),
        ("pain,fever", ["pain", ",", "fever"]),
        ("daily.He", ["daily", ".", "He"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert [token.text for token in NLP.make_doc(text)] == tokens


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anaemia", "anemia"),
        ("Tumours", "tumor"),
        ("oedema", "edema"),
        ("diarrhoea", "diarrhea"),
        ("oesophagus", "esophagus"),
        ("haemorrhage", "hemorrhage"),
        ("metastases", "metastasis"),
        ("abscesses", "abscess"),
        ("allergies", "allergy"),
        ("ECGs", "ecg"),
        ("foetal", "fetal"),
    ],
)
def test_spellings_share_a_norm(one: str, other: str) -> None:
    assert clinical_norm(one) == clinical_norm(other)


@pytest.mark.parametrize("word", ["pus", "mass", "diagnosis", "gas", "pancreas"])
def test_singular_words_keep_their_s(word: str) -> None:
    assert clinical_norm(word) == word


@given(
    st.lists(st.sampled_from(["(", "-", "_", "a", "word ", "1/", " ", "\n", "é", "´", "x" * 250]))
    .map("".join)
    .map(lambda text: text * 40)
)
def test_tokens_of_long_runs_are_the_text(text: str) -> None:
    doc = NLP.make_doc(text)
    assert doc.text == text
    assert all(text[t.idx : t.idx + len(t)] == t.text for t in doc)


def test_only_long_runs_are_cut_and_never_inside_a_word() -> None:
    assert run_cuts("a-b " * 500) == []
    assert run_cuts("x" * 5000) == []
    text = "pain,fever," * 100
    cuts = run_cuts(text)
    assert cuts
    assert all(text[cut - 1] == "," for cut in cuts)
    assert [token.text for token in NLP.make_doc(text)] == ["pain", ",", "fever", ","] * 100
