"""The engine under context: direction, reach, termination, longest match."""

from pathlib import Path

import pytest

from nlp import rules, scope_rules
from nlp.language import blank
from nlp.scope_rules import ScopeRules

NLP = blank()


def labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: str, text: str) -> list[str]:
    """`text` marks its one target as [word]."""
    (tmp_path / "t.tsv").write_text(table.replace(" | ", "\t"), encoding="utf-8")
    monkeypatch.setattr(rules, "FOLDER", tmp_path)
    engine = ScopeRules(NLP, "t.tsv")
    begin = text.index("[")
    plain = text.replace("[", "").replace("]", "")
    doc = NLP.make_doc(plain)
    target = doc.char_span(begin, text.index("]") - 1)
    assert target is not None
    spans = [(target.start, target.end)]
    return [hit.rule.label for hit in engine.hits(doc, [(0, len(doc))], spans)]


TABLE = """@WHO | mother|father
NEG | forward | all | no
NEG | backward | next | was absent
NEG | pseudo | - | no change
NEG | terminate | - | but
NEAR | forward | 2 | maybe
FAM | forward | all | {WHO} has|had
LONG | forward | all | no sign of
RE | backward | next | re:\\bin 20\\d\\d"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no [fever]", ["NEG"]),
        ("[fever] no", []),
        ("[fever] was absent", ["NEG"]),
        ("no cough but [fever]", []),
        ("no change in [fever]", []),
        ("maybe [fever]", ["NEAR"]),
        ("maybe a very high [fever]", []),
        ("father had [fever]", ["FAM"]),
        ("no sign of [fever]", ["LONG"]),
        ("[fever] in 2019", ["RE"]),
        ("the [no fever] day", []),
    ],
)
def test_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, expected: list[str]
) -> None:
    assert labels(monkeypatch, tmp_path, TABLE, text) == expected


def test_row_of_another_width_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"t\.tsv line 1: 2 columns"):
        labels(monkeypatch, tmp_path, "NEG | forward", "[x]")


def test_unknown_direction_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown direction 'sideways'"):
        labels(monkeypatch, tmp_path, "NEG | sideways | all | no", "[x]")


def test_shipped_rules_are_well_formed() -> None:
    assert scope_rules.ScopeRules(NLP, "context.tsv")
    assert scope_rules.ScopeRules(NLP, "medication_status.tsv")
