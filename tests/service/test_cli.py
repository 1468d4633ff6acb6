"""The command line over a lake folder: every command once, every refusal in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def chartlake(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=180)


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """Exit code 1 and exactly one line on stderr."""
    assert result.returncode == 1, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("chartlake: ")
    return lines[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generated population, imported."""
    cwd = tmp_path_factory.mktemp("cli")
    made = chartlake("synth", "--patients", "12", "--seed", "3", "--out", "population", cwd=cwd)
    assert made.returncode == 0, made.stderr
    result = chartlake("import", "--data", "lake", "--no-nlp", "population", cwd=cwd)
    assert result.returncode == 0, result.stderr
    assert " 0 refused" in result.stdout
    return cwd


@pytest.mark.slow
def test_import_is_whole(folder: Path) -> None:
    lines = [
        line
        for path in (folder / "population").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]
    query = "SELECT count(*) FROM patient"
    answer = chartlake("sql", "--data", "lake", "--csv", query, cwd=folder)
    assert answer.stdout.split() == ["count_star()", "12"]
    out = chartlake("export", "--data", "lake", "--out", "exported", cwd=folder)
    assert out.returncode == 0, out.stderr
    exported = [
        line
        for path in (folder / "exported").iterdir()
        for line in path.read_text("utf-8").splitlines()
    ]
    assert len(exported) == len(lines)
    by_id = {(r["resourceType"], r["id"]): r for r in map(json.loads, exported)}
    for line in lines[::7]:
        sent = json.loads(line)
        got = by_id[sent["resourceType"], sent["id"]]
        assert {k: v for k, v in got.items() if k != "meta"} == {
            k: v for k, v in sent.items() if k != "meta"
        }


def test_bad_lines_stop_no_good_ones(folder: Path) -> None:
    file = folder / "mixed.ndjson"
    file.write_text(
        '{"resourceType":"Patient","id":"good-1"}\n'
        '{"resourceType":"Patient","id":"bad","birthDate":"1999-13-01"}\n'
        "not json\n"
        "\n"
        '{"resourceType":"Patient","id":"good-2"}\n'
    )
    result = chartlake(
        "import", "--data", "lake2", "--errors", "errors.ndjson", "mixed.ndjson", cwd=folder
    )
    assert result.returncode == 1
    assert "2 stored, 2 refused" in result.stdout
    errors = [json.loads(line) for line in (folder / "errors.ndjson").read_text().splitlines()]
    assert [(e["line"], e["expression"]) for e in errors] == [(2, "Patient.birthDate"), (3, "")]


@pytest.mark.slow
def test_note_timeline_verify_reindex(folder: Path) -> None:
    patient = json.loads((folder / "population" / "Patient.ndjson").read_text().splitlines()[0])
    (folder / "note.txt").write_text("Assessment: gout. Start allopurinol 100 mg daily.")
    result = chartlake(
        "note", "--data", "lake", "--patient", patient["id"], "--json", "note.txt", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert "gout" in [entity["text"] for entity in json.loads(result.stdout)["entities"]]
    shown = chartlake("timeline", "--data", "lake", "--json", patient["id"], cwd=folder)
    assert any("gout" in str(event["display"]).lower() for event in json.loads(shown.stdout))
    assert chartlake("timeline", "--data", "lake", patient["id"], cwd=folder).returncode == 0
    assert chartlake("reindex", "--data", "lake", cwd=folder).returncode == 0
    verified = chartlake("verify", "--data", "lake", cwd=folder)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.slow
def test_refusals(folder: Path) -> None:
    refused(chartlake("timeline", "--data", "nowhere", "x", cwd=folder))
    refused(chartlake("timeline", "--data", "lake", "nobody", cwd=folder))
    refused(chartlake("sql", "--data", "lake", "DELETE FROM patient", cwd=folder))
    refused(chartlake("import", "--data", "lake", "no-such-file.ndjson", cwd=folder))
    refused(chartlake("serve", "--data", "lake", "--host", "0.0.0.0", cwd=folder))
    other = chartlake("keys", "init", "other.key", cwd=folder)
    assert other.returncode == 0, other.stderr
    text = refused(
        chartlake("verify", "--data", "lake", "--master-key-file", "other.key", cwd=folder)
    )
    assert "key" in text
    refused(chartlake("serve", "--data", "lake", "--port", "99999", cwd=folder))
    refused(chartlake("serve", "--data", "note.txt", cwd=folder))
    refused(chartlake("cohort", "--data", "lake", "no-such-file.json", cwd=folder))
    usage = chartlake("sing", cwd=folder)
    assert usage.returncode == 2
    assert len(usage.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_passphrase(folder: Path) -> None:
    (folder / "pass").write_text("correct horse battery staple\n")
    (folder / "wrong").write_text("incorrect horse\n")
    (folder / "one.json").write_text('{"resourceType":"Patient","id":"p"}')
    options = ("--data", "lake3", "--passphrase-file")
    assert chartlake("import", *options, "pass", "one.json", cwd=folder).returncode == 0
    assert not (folder / "lake3" / "keys" / "master.key").exists()
    refused(chartlake("verify", *options, "wrong", cwd=folder))
    assert chartlake("verify", *options, "pass", cwd=folder).returncode == 0


@pytest.mark.slow
def test_a_backup_is_taken_and_restored(folder: Path) -> None:
    taken = chartlake("backup", "backups", "--keys", "safe", "--data", "lake", cwd=folder)
    assert taken.returncode == 0, taken.stderr
    assert "copy of the key store" in taken.stdout
    again = chartlake("backup", "backups", "--data", "lake", "--keep", "1", cwd=folder)
    assert "no keys were copied" in again.stdout
    assert "1 older backups removed" in again.stdout
    listed = chartlake("keys", "copies", "--data", "lake", cwd=folder)
    assert listed.stdout.split() == [str(folder / "safe")]
    (keys,) = (folder / "safe").iterdir()
    restore = ("restore", "backups", "--keys", str(keys), "--data", "restored")
    assert "name the lake's master key" in refused(chartlake(*restore, cwd=folder))
    master = ("--master-key", "file:lake/keys/master.key")
    assert "another master key" in refused(
        chartlake(*restore, "--master-key", f"file:{_other_key(folder)}", cwd=folder)
    )
    assert not (folder / "restored").exists()
    restored = chartlake(*restore, *master, cwd=folder)
    assert restored.returncode == 0, restored.stderr
    checked = chartlake("verify", "--data", "restored", *master, cwd=folder)
    assert checked.returncode == 0, checked.stdout
    query = ("sql", "--csv", "SELECT count(*), count(DISTINCT id) FROM resource")
    there, here = (
        chartlake(*query, "--data", data, *master, cwd=folder).stdout
        for data in ("restored", "lake")
    )
    assert there == here
    assert "is not empty" in refused(chartlake(*restore, *master, cwd=folder))


def _other_key(folder: Path) -> Path:
    path = folder / "restore-other.key"
    assert chartlake("keys", "init", str(path), cwd=folder).returncode == 0
    return path
