"""Official files into an index: small samples in the publishers' own formats, and hostile ones."""

import shutil
import zipfile
from pathlib import Path

import pytest

from schemas.releases import Release, ReleaseError, ReleaseIndex, ReleaseStore, load

SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "terminology")


def loaded(store: ReleaseStore, terminology: str, path: Path, **more: str) -> ReleaseIndex:
    load(store, terminology, path, version=more.get("version"))
    index = store.in_use(terminology)
    assert index is not None
    return index


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target


def copied(name: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(SAMPLES / name, tmp_path / name))


def test_rxnorm(store: ReleaseStore) -> None:
    index = loaded(store, "rxnorm", SAMPLES / "rxnorm")
    assert (index.version, index.title) == ("10062025", "RxNorm 2025-10-06")
    assert [(c.code, c.kind) for c in index.named("Lisinopril")] == [("29046", "IN")]
    assert [c.code for c in index.named("APAP")] == ["161"]
    assert index.ingredients("42844") == {"161", "7804"}  # Percocet, by its ingredients
    assert index.ingredients("1049640") == {"161", "7804"}
    assert index.ingredients("221124") == {"6918"}  # metoprolol succinate
    assert {p.code for p in index.products({"29046", "5487"})} == {"197886", "823982"}
    (brand,) = [p for p in index.products({"29046"}) if p.brand]
    assert (brand.code, brand.brand) == ("206765", "Zestril")


def test_rxnorm_leaves_out_what_is_obsolete_and_what_is_not_its_own(store: ReleaseStore) -> None:
    index = loaded(store, "rxnorm", SAMPLES / "rxnorm")
    assert index.named("withdrawnol") == []
    old = index.concept("1234567")
    assert old is not None and not old.active
    assert "Lisinopril" not in index.names("29046")  # SNOMED CT's name of it
    assert "prinivil generic" not in index.names("29046")


def test_rxnorm_without_its_source_file_is_dated_by_its_name(
    store: ReleaseStore, tmp_path: Path
) -> None:
    folder = copied("rxnorm", tmp_path)
    (folder / "rrf" / "RXNSAB.RRF").unlink()
    with pytest.raises(ReleaseError, match="give --release-version"):
        load(store, "rxnorm", folder)
    archive = zipped(folder, tmp_path / "RxNorm_full_prescribe_10062025.zip")
    assert load(store, "rxnorm", archive).id == "rxnorm-2025-10-06"
    assert load(store, "rxnorm", folder, version="2024-01-02").id == "rxnorm-2024-01-02"


def test_snomed(store: ReleaseStore) -> None:
    index = loaded(store, "snomed", SAMPLES / "snomed")
    assert index.version == "http://snomed.info/sct/731000124108/version/20250301"
    (found,) = index.named("High blood pressure")
    assert (found.code, found.display, found.kind) == ("38341003", "Hypertension", "disorder")
    assert index.descendants("404684003") == sorted(
        ["64572001", "73211009", "44054006", "38341003"]
    )
    assert index.parents("80146002") == ["71388002"]
    assert index.ancestors("44054006") == sorted(["73211009", "64572001", "404684003", "138875005"])


def test_snomed_concept_that_is_inactive_has_no_name(store: ReleaseStore) -> None:
    index = loaded(store, "snomed", SAMPLES / "snomed")
    assert index.named("Organic psychosis") == []
    found = index.concept("11387009")
    assert found is not None and not found.active


def test_loinc(store: ReleaseStore, tmp_path: Path) -> None:
    index = loaded(store, "loinc", zipped(SAMPLES / "loinc", tmp_path / "Loinc_2.81.zip"))
    assert (index.version, index.title) == ("2.81", "LOINC 2.81")
    assert [c.code for c in index.named("Hemoglobin A1c")] == ["4548-4"]
    old = index.concept("13457-7")
    assert old is not None and not old.active
    assert loaded(store, "loinc", SAMPLES / "loinc").version == "2.80"  # by its newest change


@pytest.mark.parametrize("name", ["icd10cm", "icd10cm_codes"])
def test_icd10cm(store: ReleaseStore, name: str) -> None:
    index = loaded(store, "icd10cm", SAMPLES / name)
    assert (index.version, index.title) == ("2026", "ICD-10-CM 2026")
    (found,) = index.named("Essential (primary) hypertension")
    assert (found.code, found.kind) == ("I10", "billable")
    assert index.concept("S93.409A") is not None


def test_icd10cm_hierarchy_and_tabular_list(store: ReleaseStore) -> None:
    index = loaded(store, "icd10cm", SAMPLES / "icd10cm")
    assert index.parents("E11.65") == ["E11.6"]
    assert index.descendants("E11") == ["E11.6", "E11.65", "E11.9"]
    category = index.concept("E11.6")
    assert category is not None and category.kind == "category"
    tabular = loaded(store, "icd10cm", SAMPLES / "icd10cm_xml")
    assert [c.code for c in tabular.named("type 2 diabetes NOS")] == ["E11.9"]


def test_progress_ends_at_the_whole(store: ReleaseStore) -> None:
    told: list[tuple[int, int]] = []
    load(store, "loinc", SAMPLES / "loinc", progress=lambda done, all_: told.append((done, all_)))
    assert told[-1][0] == told[-1][1] > 0


# What is refused, each with one line, and the store as it was.


def refused(store: ReleaseStore, terminology: str, path: Path, says: str) -> None:
    with pytest.raises(ReleaseError, match=says) as failure:
        load(store, terminology, path)
    assert "\n" not in str(failure.value)
    left = [p.name for p in store.folder.iterdir()] if store.folder.exists() else []
    assert left == []


def test_no_such_path(store: ReleaseStore, tmp_path: Path) -> None:
    refused(store, "rxnorm", tmp_path / "none.zip", "no such file")


def test_truncated_zip(store: ReleaseStore, tmp_path: Path) -> None:
    whole = zipped(SAMPLES / "rxnorm", tmp_path / "whole.zip").read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: len(whole) // 2])
    refused(store, "rxnorm", cut, "cut off or no zip")


def test_damaged_member(store: ReleaseStore, tmp_path: Path) -> None:
    path = tmp_path / "RxNorm_full_10062025.zip"
    whole = bytearray(zipped(SAMPLES / "rxnorm" / "rrf", path).read_bytes())
    start = whole.index(b"RXNCONSO.RRF") + 40
    whole[start : start + 60] = bytes(60)
    path.write_bytes(bytes(whole))
    refused(store, "rxnorm", path, "damaged|not UTF-8|columns")


@pytest.mark.parametrize(
    ("terminology", "name", "file", "called"),
    [
        ("rxnorm", "rxnorm", "rrf/RXNREL.RRF", "RXNREL.RRF is missing"),
        (
            "snomed",
            "snomed",
            "Snapshot/Refset/Language/der2_cRefset_LanguageSnapshot-en_US1000124_20250301.txt",
            "LanguageSnapshot-en_….txt is missing",
        ),
        ("loinc", "loinc", "LoincTable/Loinc.csv", "Loinc.csv .* is missing"),
        ("icd10cm", "icd10cm", "icd10cm_order_2026.txt", "neither icd10cm_order"),
    ],
)
def test_missing_file(
    store: ReleaseStore, tmp_path: Path, terminology: str, name: str, file: str, called: str
) -> None:
    folder = copied(name, tmp_path)
    (folder / file).unlink()
    refused(store, terminology, folder, called)


def changed(folder: Path, file: str, old: bytes, new: bytes) -> Path:
    path = folder / file
    body = path.read_bytes()
    assert old in body
    path.write_bytes(body.replace(old, new, 1))
    return folder


@pytest.mark.parametrize(
    ("terminology", "name", "file", "old", "new", "says"),
    [
        ("rxnorm", "rxnorm", "rrf/RXNCONSO.RRF", b"|ENG|", b"|", "line 1: 18 columns"),
        ("rxnorm", "rxnorm", "rrf/RXNCONSO.RRF", b"lisinopril", b"lisi\xffnopril", "not UTF-8"),
        ("rxnorm", "rxnorm", "rrf/RXNCONSO.RRF", b"29046|ENG", b"x|ENG", "no number"),
        ("loinc", "loinc", "LoincTable/Loinc.csv", b'"SHORTNAME"', b'"OTHER"', "SHORTNAME"),
        ("loinc", "loinc", "LoincTable/Loinc.csv", b'"2951-2"', b'"sodium"', "no LOINC code"),
        ("loinc", "loinc", "LoincTable/Loinc.csv", b'"Qn",', b"", "39 columns"),
        ("icd10cm", "icd10cm", "icd10cm_order_2026.txt", b"E1165   1", b"E1165 1", "line 3"),
        (
            "icd10cm",
            "icd10cm_xml",
            "icd10cm_tabular_2026.xml",
            b"<ICD10CM.tabular>",
            b'<!DOCTYPE a [<!ENTITY b "c">]><ICD10CM.tabular>',
            "declares entities",
        ),
        ("icd10cm", "icd10cm_xml", "icd10cm_tabular_2026.xml", b"</diag>", b"", "no XML"),
        (
            "snomed",
            "snomed",
            "Snapshot/Terminology/sct2_Concept_Snapshot_US1000124_20250301.txt",
            b"definitionStatusId",
            b"status",
            "no RF2 Concept file",
        ),
    ],
)
def test_wrong_content(
    store: ReleaseStore,
    tmp_path: Path,
    terminology: str,
    name: str,
    file: str,
    old: bytes,
    new: bytes,
    says: str,
) -> None:
    refused(store, terminology, changed(copied(name, tmp_path), file, old, new), says)


def test_zip_bomb(store: ReleaseStore, tmp_path: Path) -> None:
    path = tmp_path / "RxNorm_full_10062025.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rrf/RXNREL.RRF", "")
        with archive.open("rrf/RXNCONSO.RRF", "w") as member:
            for _ in range(32):
                member.write(bytes(1 << 20))
    refused(store, "rxnorm", path, "would unpack to")


@pytest.mark.parametrize(
    "name", ["../../etc/RXNCONSO.RRF", "/etc/RXNCONSO.RRF", "C:\\RXNCONSO.RRF"]
)
def test_names_that_lead_out(store: ReleaseStore, tmp_path: Path, name: str) -> None:
    path = tmp_path / "release.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "1|")
    refused(store, "rxnorm", path, "leads out of it")


def test_two_releases_in_one_folder(store: ReleaseStore, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "rxnorm", tmp_path / "both" / "a")
    shutil.copytree(SAMPLES / "rxnorm", tmp_path / "both" / "b")
    refused(store, "rxnorm", tmp_path / "both", "name the folder of one release")


def test_failed_load_keeps_the_release_of_before(store: ReleaseStore, tmp_path: Path) -> None:
    before = load(store, "rxnorm", SAMPLES / "rxnorm")
    folder = changed(copied("rxnorm", tmp_path), "rrf/RXNREL.RRF", b"|CUI|", b"|")
    with pytest.raises(ReleaseError):
        load(store, "rxnorm", folder)
    assert [(r.id, r.in_use) for r in store.releases()] == [(before.id, True)]
    assert len(list(store.folder.glob("*.draft"))) == 0


def ids(releases: list[Release]) -> list[tuple[str, bool]]:
    return [(release.id, release.in_use) for release in releases]


def test_several_releases_side_by_side(store: ReleaseStore) -> None:
    load(store, "rxnorm", SAMPLES / "rxnorm", version="2025-01-06")
    load(store, "rxnorm", SAMPLES / "rxnorm")
    load(store, "loinc", SAMPLES / "loinc")
    assert ids(store.releases()) == [
        ("loinc-2.80", True),
        ("rxnorm-2025-01-06", False),
        ("rxnorm-2025-10-06", True),
    ]
    store.use("rxnorm-2025-01-06")
    index = store.in_use("rxnorm")
    assert index is not None and index.version == "01062025"
    store.remove("rxnorm-2025-01-06")
    assert store.in_use("rxnorm") is None
    assert ids(store.releases()) == [("loinc-2.80", True), ("rxnorm-2025-10-06", False)]


@pytest.mark.parametrize("id", ["rxnorm-1999-01-01", "../loinc-2.80", ""])
def test_release_that_is_not_there(store: ReleaseStore, id: str) -> None:
    load(store, "loinc", SAMPLES / "loinc")
    with pytest.raises(ReleaseError, match=r"there is no release .* loaded are: loinc-2\.80"):
        store.use(id)


def test_damaged_index_is_refused(store: ReleaseStore) -> None:
    release = load(store, "loinc", SAMPLES / "loinc")
    path = store.folder / f"{release.id}.release"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(ReleaseError, match="damaged"):
        store.in_use("loinc")
