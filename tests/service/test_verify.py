"""`chartlake verify` says what it checked, names what is wrong, and mends the index on request."""

from __future__ import annotations

import re
from pathlib import Path

import apsw
import pytest

from service.cli import main
from storage.lake import Lake, Put


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake with flushed and hot versions, closed."""
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        for tier in range(2):
            lake.transact(
                [
                    Put({"resourceType": "Patient", "id": f"p{tier}-{n}", "gender": "other"})
                    for n in range(10)
                ]
            )
            if tier == 0:
                lake.flush()
    return path


def damage(folder: Path, sql: str) -> None:
    def change(connection: apsw.Connection) -> None:
        connection.execute(sql)

    with Lake.open(folder) as lake:
        lake._writer.run(change)


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["verify", "--data", str(folder), *options])
    said = capsys.readouterr()
    assert not said.err
    return code, said.out


def test_the_report_says_what_was_checked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(folder, capsys)
    assert code == 0
    counted = {what: int(n) for n, what in re.findall(r"^checked +(\d+) (.+)$", said, re.M)}
    assert counted.pop("pages of hot.db") > 10
    assert counted.pop("audit events") >= 2
    assert counted == {
        "keys of segments": 1,
        "segments": 1,
        "versions in segments": 10,
        "versions": 20,
        "versions compared with the index": 20,
    }
    assert said.endswith("no fault found: 20 resources, commit 2\n")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM token_index",
        "DELETE FROM index_block",
        "UPDATE index_block SET block = zeroblob(length(block))",
        "UPDATE index_part SET versions = x'00'",
        "DELETE FROM index_part",
    ],
)
def test_repair_mends_the_index(folder: Path, capsys: pytest.CaptureFixture[str], sql: str) -> None:
    damage(folder, sql)
    code, said = verify(folder, capsys)
    assert code == 1
    assert "verify --repair" in said
    code, said = verify(folder, capsys, "--repair")
    assert code == 0, said
    assert "the index was rebuilt" in said
    assert said.endswith("no fault found: 20 resources, commit 2\n")
    with Lake.open(folder) as lake:
        assert lake.search("Patient", [("gender", "other")]).total == 20


def test_repair_leaves_a_sound_lake_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = verify(folder, capsys, "--repair")
    assert code == 0
    assert "rebuilt" not in said


def test_repair_does_not_hide_other_damage(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segment = next((folder / "lake" / "Patient").iterdir())
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    damage(folder, "DELETE FROM token_index")
    before = (folder / "hot.db").read_bytes()
    code, said = verify(folder, capsys, "--repair")
    assert code == 1
    assert segment.name in said
    assert "not repaired: 1 of the faults" in said
    assert len((folder / "hot.db").read_bytes()) == len(before)


def test_damage_to_any_page_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Free pages apart, which nothing reads."""
    database = folder / "hot.db"
    sound = database.read_bytes()
    named = 0
    for page in range(0, len(sound) // 4096, 3):
        content = bytearray(sound)
        content[page * 4096 + 1234] ^= 1
        database.write_bytes(content)
        code = main(["verify", "--data", str(folder)])
        said = "".join(capsys.readouterr())
        assert code == 1 or "no fault found" in said
        assert "incident" not in said and "Traceback" not in said
        if code == 1:
            assert "hot.db" in said
            named += 1
    assert named > 10
