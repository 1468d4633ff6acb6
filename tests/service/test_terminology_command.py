"""`chartlake terminology`: load, list, use, remove, and what is refused."""

from pathlib import Path

import pytest

from service.cli import main

SAMPLES = Path(__file__).parent.parent / "schemas" / "releases" / "samples"


def chartlake(*arguments: str, data: Path) -> int:
    return main(["terminology", *arguments, "--data", str(data)])


def test_load_list_use_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chartlake("list", data=tmp_path) == 0
    assert "No release is loaded" in capsys.readouterr().out
    assert chartlake("load", "rxnorm", str(SAMPLES / "rxnorm"), data=tmp_path) == 0
    assert "rxnorm-2025-10-06: RxNorm 2025-10-06, 36 concepts, in use" in capsys.readouterr().out
    older = ("--release-version", "2024-01-02")
    assert chartlake("load", "rxnorm", str(SAMPLES / "rxnorm"), *older, data=tmp_path) == 0
    assert chartlake("use", "rxnorm-2025-10-06", data=tmp_path) == 0
    capsys.readouterr()
    assert chartlake("list", data=tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "yes" in line] == ["rxnorm-2025-10-06"]
    assert any(line.startswith(" rxnorm-2024-01-02") for line in lines)
    assert chartlake("remove", "rxnorm-2025-10-06", data=tmp_path) == 0
    assert "None of rxnorm is in use now" in capsys.readouterr().out


def test_refusals_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chartlake("load", "loinc", str(SAMPLES / "rxnorm"), data=tmp_path) == 1
    assert chartlake("use", "loinc-2.80", data=tmp_path) == 1
    refused = capsys.readouterr().err.splitlines()
    assert [line for line in refused if line] == [
        f"chartlake: {SAMPLES / 'rxnorm'}: Loinc.csv (in the folder LoincTable) is missing",
        "chartlake: there is no release 'loinc-2.80'; loaded are: none",
    ]


def test_the_folder_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHARTLAKE_TERMINOLOGY", str(tmp_path / "shared"))
    assert chartlake("load", "icd10cm", str(SAMPLES / "icd10cm"), data=tmp_path / "lake") == 0
    assert (tmp_path / "shared" / "icd10cm-2026.release").is_file()
    assert not (tmp_path / "lake").exists()
