"""Names that no dictionary found in the text, as a model finds them: to codes, or to none."""

import pytest

from nlp.candidates import CandidateGenerator, name_key
from nlp.linking import Linker
from nlp.mention import CONDITION, MEDICATION, PROCEDURE, SYMPTOM
from nlp.misspellings import Misspellings, is_slip
from nlp.terminology import knowledge_base, systems


@pytest.fixture(scope="module")
def linker() -> Linker:
    return Linker(knowledge_base())


def codes(linker: Linker, name: str, category: str = CONDITION) -> dict[str, str]:
    return {c.system: c.code for c in linker.link(name, category).concepts}


@pytest.mark.parametrize(
    ("name", "system", "code"),
    [
        ("Type II Diabetes Mellitus", systems.ICD10CM, "E11.9"),
        ("severe rheumatoid arthritis", systems.SNOMED, "69896004"),
        ("left-sided pneumonia", systems.SNOMED, "233604007"),
        ("stenosis of the aorta", systems.ICD10CM, ""),
        ("mitral valve stenosis", systems.SNOMED, "79619009"),
        ("hypertention", systems.ICD10CM, "I10"),  # a slip in one word
        ("rheumatoid artritis", systems.SNOMED, "69896004"),
        ("Acute bronchitis due to streptococcus", systems.ICD10CM, "J20.2"),  # an official title
        ("bronchitis, acute", systems.ICD10CM, "J20.9"),  # other order
    ],
)
def test_names_of_conditions(linker: Linker, name: str, system: str, code: str) -> None:
    assert codes(linker, name).get(system, "") == code


@pytest.mark.parametrize(
    "name",
    [
        "hypotention of unknown kind",
        "problem",
        "renal failure of the second order",  # a part of it is a disease
        "MS",  # its meanings were weighed where it stands
        "cytotoxicity",  # near ototoxicity
        "hypercalemia hypocalemia",
        "",
        "x" * 5000,
    ],
)
def test_no_code_where_none_is_certain(linker: Linker, name: str) -> None:
    assert codes(linker, name) == {}


def test_qualifiers_that_change_the_disease_are_kept(linker: Linker) -> None:
    assert codes(linker, "acute kidney injury") == codes(linker, "severe acute kidney injury")
    assert codes(linker, "chronic kidney disease") != codes(linker, "kidney disease")


def test_side_that_is_written_is_not_coded_as_unspecified(linker: Linker) -> None:
    assert codes(linker, "leg pain")[systems.ICD10CM] == "M79.606"  # Pain in leg, unspecified
    assert codes(linker, "left leg pain") == {systems.SNOMED: "10601006"}


def test_score_says_how_it_was_found(linker: Linker) -> None:
    exact, slip = (linker.link(n, CONDITION).concepts[0].score for n in ("gout", "hypertention"))
    assert exact > slip


def test_symptoms_and_procedures(linker: Linker) -> None:
    assert codes(linker, "shortness of breath", SYMPTOM)[systems.SNOMED] == "267036007"
    assert codes(linker, "Appendectomies", PROCEDURE)[systems.SNOMED] == "80146002"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("metformin", "6809"),
        ("metfromin", "6809"),
        ("Lisinopril 20 mg tablet", "29046"),
        ("metoprolol tartrate", "6918"),
        ("Coumadin", "11289"),
    ],
)
def test_names_of_drugs(linker: Linker, name: str, code: str) -> None:
    assert codes(linker, name, MEDICATION) == {systems.RXNORM: code}


@pytest.mark.parametrize("name", ["Flumadin", "hydroxizin acid", "Pentas", "ketoconazol x", "Cefa"])
def test_no_drug_is_guessed(linker: Linker, name: str) -> None:
    assert codes(linker, name, MEDICATION) == {}


def test_slips() -> None:
    assert is_slip("metfromin", "metformin")
    assert is_slip("metformn", "metformin")
    assert is_slip("metforrmin", "metformin")
    assert is_slip("metfurmin", "metformin")
    assert not is_slip("metformin", "metformin")
    assert not is_slip("hypotension", "hypertension")
    known = Misspellings(["hydralazine", "hydroxyzine", "metformin"])
    assert known.near("hydralazne") == ("hydralazine",)
    assert known.near("hydroxyzine") == ()  # a drug of its own
    assert known.near("bydralazine") == ()  # the first letter has to be right


def test_candidates_are_ranked() -> None:
    generator = CandidateGenerator(
        [("1", "breast cancer"), ("2", "prostate cancer"), ("3", "Cancer of the breast, male")]
    )
    assert [c.concept_id for c in generator.candidates("Breast cancers")] == ["1"]
    assert generator.candidates("cancer of breast")[0].score == 0.95
    near = generator.candidates("brest cancer")
    assert near[0].concept_id == "1" and 1 > near[0].score > near[1].score > 0
    assert generator.candidates("") == ()
    assert [len(found) for found in generator(["breast cancer", "qqq"], 3)] == [1, 0]


def test_name_key_joins_spellings() -> None:
    assert name_key("Tumours of the oesophagus") == name_key("tumor of the esophagus")
    assert name_key("Crohn's disease") == name_key("crohn disease")
    assert name_key("beta-blocker") == name_key("Beta Blocker")
