"""The frozen dictionary: longest name from the left, case where it matters."""

from pathlib import Path

from nlp.mention import CONDITION, MEDICATION
from nlp.models.gazetteer import KINDS, Gazetteer, write

_NAMES = [
    (CONDITION, ["heart", "failure"]),
    (CONDITION, ["heart", "failure", "with", "edema"]),
    (MEDICATION, ["aspirin"]),
    (CONDITION, ["=MS"]),
]


def _feature(kind: str, further: bool = False) -> int:
    return 1 + 2 * KINDS.index(kind) + further


def test_features() -> None:
    gazetteer = Gazetteer(_NAMES)
    words = ["Aspirin", "for", "Heart", "failure", "with", "MS", "ms"]
    condition = _feature(CONDITION)
    assert gazetteer.features(words) == [
        _feature(MEDICATION), 0, condition, condition + 1, 0, condition, 0,
    ]  # fmt: skip


def test_same_names_same_file(tmp_path: Path) -> None:
    assert write(tmp_path / "a.gz", _NAMES) == 4
    write(tmp_path / "b.gz", reversed(_NAMES))
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert Gazetteer.read(tmp_path / "a.gz").features(["aspirin"]) == [_feature(MEDICATION)]
