"""The clean copy and the way back."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.layout import Layout, wrapped_line_starts


def test_blanks_line_ends_and_invisible_characters_are_cleaned() -> None:
    assert Layout("a \t b\r\nc\u200bd\xa0e\rf").clean == "a b\ncd e\nf"


@given(st.text(alphabet="ab \t\r\n\u200b\xa0😀,.", max_size=200))
def test_every_clean_word_maps_to_itself(text: str) -> None:
    layout = Layout(text)
    for position, character in enumerate(layout.clean):
        begin, end = layout.original_span(position, position + 1)
        assert 0 <= begin < end <= len(text)
        if character not in " \n":
            assert text[begin:end] == character


@given(st.text(max_size=200))
def test_spans_are_inside_the_text(text: str) -> None:
    layout = Layout(text)
    begin, end = layout.original_span(0, len(layout.clean))
    assert 0 <= begin <= end <= len(text)


def test_list_is_not_taken_for_wrapped_prose() -> None:
    text = (
        "Albuterol inhaler 2 puffs every 4-6 hours as needed for wheezing\n"
        "Levothyroxine 75 mcg daily\nPrednisone 5 mg\nAspirin 81 mg\n"
    )
    assert wrapped_line_starts(text) == set()


@pytest.mark.parametrize("text", ["denies chest pain,\nfever or cough", "history of\nasthma"])
def test_line_that_cannot_have_ended_goes_on(text: str) -> None:
    assert wrapped_line_starts(text) == {text.index("\n") + 1}


def test_bullet_starts_a_line_of_its_own() -> None:
    assert wrapped_line_starts("asthma and\n- cough") == set()


def test_wrap_takes_the_blanks_around_it() -> None:
    assert Layout("history of \t\n \t\xa0asthma").clean == "history of asthma"
    assert Layout("history of\r\n  asthma").clean == "history of asthma"


@pytest.mark.parametrize("text", ["a" + " " * 200_000 + "b", " \n" * 100_000, "- \n" * 70_000])
def test_layout_is_linear(text: str) -> None:
    started = time.process_time()
    layout = Layout(text)
    assert time.process_time() - started < 2
    assert layout.original_span(0, len(layout.clean))[1] <= len(text)
