"""No plaintext on the disk: not in any file, not while the lake is open, not after."""

from __future__ import annotations

from pathlib import Path

from storage.lake import Delete, Lake, Put

SECRETS = (
    "Quetzalcoatlson",
    "Chronic obstructive secret disease",
    "The patient reports a very private thing",
    "mrn-5551234567",
    "urn:oid:1.2.3.secret",
    "quetzal-patient-id",
)


def resources() -> list[Put]:
    family, display, note, mrn, system, id = SECRETS
    subject = {"reference": f"Patient/{id}"}
    return [
        Put(
            {
                "resourceType": "Patient",
                "id": id,
                "name": [{"family": family}],
                "identifier": [{"system": system, "value": mrn}],
            }
        ),
        Put(
            {
                "resourceType": "Condition",
                "id": "c1",
                "code": {"coding": [{"system": system, "code": "1", "display": display}]},
                "subject": subject,
                "note": [{"text": note}],
            }
        ),
    ]


def found(folder: Path) -> list[tuple[str, str]]:
    """Which secrets are in which files, in any of the encodings they could be stored in."""
    out = []
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            out += [
                (path.name, secret)
                for secret in SECRETS
                for form in (secret, secret.lower(), secret.casefold())
                for encoding in ("utf-8", "utf-16-le")
                if form.encode(encoding) in content
            ]
    return out


def test_no_file_shows_any_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lake"
    with Lake.open(path) as lake:
        for _ in range(3):
            lake.transact(resources())
        names = {p.name for p in path.rglob("*")}
        assert "hot.db-wal" in names
        assert found(path) == []
        lake.search("Patient", [("name", "quetzal"), ("_sort", "name")])
        lake.search("Condition", [("code:text", "chronic")])
        lake.flush()
        lake.snapshot().hot_rows("Patient")
        assert found(path) == []
        lake.transact([Delete("Condition", "c1")])
        lake.transact(resources())
        lake.reindex()
        assert lake.verify() == []
        assert found(path) == []
    assert found(path) == []
    # The scan can fail: it finds what is really there.
    (path / "leak").write_bytes(b"..." + SECRETS[0].encode())
    assert found(path) == [("leak", SECRETS[0])]


def test_the_database_is_no_sqlite_file_to_others(tmp_path: Path) -> None:
    with Lake.open(tmp_path / "lake") as lake:
        lake.transact(resources())
    content = (tmp_path / "lake" / "hot.db").read_bytes()
    assert not content.startswith(b"SQLite format 3")
    assert b"CREATE TABLE" not in content
