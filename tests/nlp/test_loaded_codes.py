"""With a loaded release: its codes, its versions, and what it does not have any more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nlp.derived.medication_statement import agreed_concepts
from nlp.derived.note_source import codeable_concept
from nlp.linking import Linker
from nlp.loaded_codes import LoadedCodes
from nlp.mention import CONDITION, MEDICATION, PROCEDURE, TEST, Concept, Mention
from nlp.terminology import knowledge_base, systems
from schemas.releases import ReleaseError, ReleaseStore, load

SAMPLES = Path(__file__).parent.parent / "schemas" / "releases" / "samples"
Loaded = Callable[..., Linker]


@pytest.fixture(scope="module")
def with_releases(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    def made(*terminologies: str) -> Linker:
        folder = tmp_path_factory.mktemp("terminology")
        for terminology in terminologies:
            load(ReleaseStore(folder), terminology, SAMPLES / terminology)
        return Linker(knowledge_base(), LoadedCodes.of_folder(str(folder)))

    return made


@pytest.fixture(scope="module")
def rxnorm(with_releases: Loaded) -> Linker:
    return with_releases("rxnorm")


def drug(linker: Linker, name: str, after: str = "") -> list[str]:
    return [c.code for c in linker.drugs.link(name, linker.drugs.term_of(name), after)]


@pytest.mark.parametrize(
    ("name", "after", "codes"),
    [
        ("lisinopril", " 10 mg tablet daily", ["29046", "314076"]),
        ("lisinopril", " 10 mg daily", ["29046"]),  # half a tablet of 20 mg, perhaps
        ("lisinopril", " 12 mg tablet", ["29046"]),  # there is none
        ("Zestril", " 10 mg tab", ["29046", "206765"]),
        ("Zestril", " 20 mg tab", ["29046"]),  # that strength is not of the brand
        ("lisinopril-HCTZ", " 20/12.5 daily", ["214618", "197886"]),
        ("Zestoretic", " 20-12.5 mg", ["214618", "823982"]),
        ("Percocet", " 5/325 q6h", ["214183", "1049640"]),
        ("metoprolol succinate", " 25 mg ER tablet", ["6918", "866427"]),
        ("metoprolol tartrate", " 25 mg tablet", ["6918", "866924001"]),
        ("metoprolol succinate", " 25 mg tablet", ["6918"]),  # its form is not written
        ("metformin ER", " 500 mg tablet", ["6809", "860975"]),
        ("metformin", " 500 mg tablet", ["6809", "861007"]),
        ("oxycodone", " 5 mg tablet", ["7804"]),  # no product of that one alone
    ],
)
def test_clinical_drugs(rxnorm: Linker, name: str, after: str, codes: list[str]) -> None:
    assert drug(rxnorm, name, after) == codes


def test_codes_say_release_and_version(rxnorm: Linker) -> None:
    for concept in rxnorm.drugs.link("lisinopril", None, " 10 mg tablet"):
        assert (concept.release, concept.version) == ("RxNorm 2025-10-06", "10062025")
    (coding,) = codeable_concept(rxnorm.link("lisinopril", MEDICATION).concepts, "x")["coding"]
    assert coding["version"] == "10062025"


def test_shipped_codes_have_no_version() -> None:
    (coding,) = codeable_concept([Concept(systems.RXNORM, "1", "x", 1.0, "a table")], "x")["coding"]
    assert "version" not in coding


def test_shipped_code_that_the_release_has_not_is_not_given(rxnorm: Linker) -> None:
    # The sample release has no warfarin: the shipped code is not confirmed.
    assert drug(rxnorm, "warfarin") == []
    assert drug(Linker(knowledge_base()), "warfarin") == ["11289"]


def test_names_that_only_the_release_has(with_releases: Loaded) -> None:
    linker = with_releases("snomed")
    found = linker.link("Excision of appendix", PROCEDURE).concepts
    assert [c.code for c in found if c.system == systems.SNOMED] == ["80146002"]
    (uri,) = {c.version for c in found if c.system == systems.SNOMED}
    assert uri == "http://snomed.info/sct/731000124108/version/20250301"
    # A disorder is no procedure, and what is inactive is nothing.
    assert linker.loaded.named("Type 2 diabetes mellitus", PROCEDURE) == ()
    assert linker.loaded.named("Organic psychosis", CONDITION) == ()


def test_snomed_beside_the_codes_of_another_system(with_releases: Loaded) -> None:
    linker = with_releases("snomed", "icd10cm")
    codes = {c.system: (c.code, c.release) for c in linker.link("hypertension", CONDITION).concepts}
    assert codes == {
        systems.SNOMED: ("38341003", "SNOMED CT US Edition 2025-03-01"),
        systems.ICD10CM: ("I10", "ICD-10-CM 2026"),
    }


def test_loinc(with_releases: Loaded) -> None:
    linker = with_releases("loinc")
    (found,) = linker.link("Sodium [Moles/volume] in Serum or Plasma", TEST).concepts
    assert (found.code, found.version) == ("2951-2", "2.80")


def test_release_in_use_that_is_gone_is_an_error(tmp_path: Path) -> None:
    release = load(ReleaseStore(tmp_path), "loinc", SAMPLES / "loinc")
    (tmp_path / f"{release.id}.release").unlink()
    with pytest.raises(ReleaseError, match="is missing; load it again"):
        LoadedCodes.of_folder(str(tmp_path))
    with pytest.raises(ReleaseError):
        ReleaseStore(tmp_path).check()


def test_no_folder_is_no_release(tmp_path: Path) -> None:
    assert LoadedCodes.of_folder(None).versions == ()
    assert LoadedCodes.of_folder(str(tmp_path / "none")).versions == ()


def test_two_strengths_of_one_drug_leave_the_ingredient(rxnorm: Linker) -> None:
    def mention(after: str) -> Mention:
        concepts = rxnorm.drugs.link("lisinopril", None, after)
        return Mention("lisinopril", 0, 10, MEDICATION, "GENERIC_NAME", concepts=concepts)

    ten, twenty, dose = (mention(a) for a in (" 10 mg tablet", " 20 mg tablet", " 10 mg daily"))
    assert [c.code for c in agreed_concepts([dose, ten, ten])] == ["29046", "314076"]
    assert [c.code for c in agreed_concepts([ten, twenty])] == ["29046"]
