"""Replacing what was found."""

import pytest

from nlp.phi import deidentify
from nlp.phi.date_shift import shifted

KEY = b"0123456789abcdef"


def test_tags() -> None:
    assert deidentify("Dr. Zelquint, 3/4/2023") == "Dr. [NAME], [DATE]"


def test_a_name_has_one_stand_in_in_a_note_and_another_with_another_key() -> None:
    text = "Dr. Zelquint came. Zelquint left."
    one = deidentify(text, mode="surrogates", key=KEY, shift_days=5)
    names = [word.strip(".") for word in one.split() if word.startswith("Name")]
    assert len(names) == 2
    assert len(set(names)) == 1
    assert deidentify(text, mode="surrogates", key=KEY[::-1], shift_days=5) != one
    assert "Zelquint" not in one


def test_dates_keep_their_distance() -> None:
    text = "Seen 3/4/2023, again 3/14/2023."
    moved = deidentify(text, mode="surrogates", key=KEY, shift_days=-10)
    assert moved == "Seen 2/22/2023, again 3/4/2023."


@pytest.mark.parametrize(
    ("written", "moved"),
    [
        ("2023-03-04", "2023-03-05"), ("03/31/23", "04/01/23"), ("March 31, 2023", "April 1, 2023"),
        ("31 March 2023", "1 April 2023"), ("31/12/2023", "01/01/2024"), ("March 4th", None),
        ("13/13/2023", None), ("2023-03-04T10:00:00Z", "2023-03-05T10:00:00Z"),
    ],
)  # fmt: skip
def test_shifted_by_one_day(written: str, moved: str | None) -> None:
    assert shifted(written, 1) == moved


def test_stand_ins_need_a_key_and_a_shift() -> None:
    for key, days in ((b"short", 5), (KEY, 0)):
        with pytest.raises(ValueError, match="key of at least 16 bytes"):
            deidentify("x", mode="surrogates", key=key, shift_days=days)
