"""`chartlake nlp deidentify`: spans without words, texts without spans, refusals in one line."""

import json
from pathlib import Path

import pytest

from service.cli import main


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("Dr. Zelquint saw will-o on 3/4/2023.\n", encoding="utf-8")
    return path


def test_spans_name_places_not_words(note: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nlp", "deidentify", str(note)]) == 0
    out = capsys.readouterr().out
    assert [span["span"] for span in json.loads(out)["spans"]] == [[4, 12], [27, 35]]
    assert "Zelquint" not in out


def test_text_with_the_record(
    note: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.ndjson"
    lines = ({"resourceType": "Patient", "name": [{"family": "Will-O"}]}, {"resourceType": "X"})
    record.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert main(["nlp", "deidentify", "--text", "--known", str(record), str(note)]) == 0
    assert capsys.readouterr().out == "Dr. [NAME] saw [NAME] on [DATE].\n"


def test_stand_ins(note: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    arguments = ["nlp", "deidentify", "--text", "--key-file", str(key), "--shift-days", "3"]
    assert main([*arguments, str(note)]) == 0
    assert " on 3/7/2023." in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--shift-days", "3"], ["--key-file", "short"], ["--known", "bad"], ["--known", "missing"]],
)
def test_refusals_are_one_line(
    note: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    (tmp_path / "short").write_bytes(b"x")
    (tmp_path / "bad").write_text('{"family": "Zelquint"', encoding="utf-8")
    option, value = arguments
    value = value if value == "3" else str(tmp_path / value)
    assert main(["nlp", "deidentify", option, value, str(note)]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("chartlake: ")
    assert "Zelquint" not in captured.err
