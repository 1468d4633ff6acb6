"""Training end to end on a few sentences; skipped where torch is not installed."""

import gzip
import hashlib
from pathlib import Path

import pytest

from nlp.models.gazetteer import write
from nlp.models.manifest import GAZETTEER, VOCABULARY, WEIGHTS, ModelError
from nlp.models.schemes import BC5CDR, MACCROBAT
from nlp.models.shipped import shipped
from nlp.training.corpora import Annotated, Gold, brat_folder, pubtator_file, without_overlap
from nlp.training.examples import examples, sentence_spans
from nlp.training.sources import TrainingError, find_sources, torch_is_here

_DRUGS = ("aspirin", "metformin", "warfarin", "insulin")
_DISEASES = ("gout", "asthma", "anemia", "sepsis")
_FRAME = "{} was given for {} today."
_PIECES = "[PAD] [UNK] was given for today . " + " ".join((*_DRUGS, *_DISEASES))


def _document(drug: str, disease: str, held_out: bool) -> Annotated:
    text = _FRAME.format(drug, disease)
    begin = text.index(disease)
    gold = (Gold(0, len(drug), "Chemical"), Gold(begin, begin + len(disease), "Disease"))
    return Annotated(f"{drug}-{disease}", BC5CDR, text, gold, held_out)


def _documents() -> list[Annotated]:
    pairs = [(drug, disease) for drug in _DRUGS for disease in _DISEASES]
    return [_document(*pair, held_out=number % 4 == 0) for number, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not torch_is_here():
        pytest.skip("needs the extra `train` (torch, onnx)")
    from nlp.training import build
    from nlp.training.encoder import Shape
    from nlp.training.finetune import Schedule, train

    folder = tmp_path_factory.mktemp("model")
    # The ids of the marks are fixed in BERT's vocabulary.
    names = _PIECES.split()
    filler = [f"[unused{number}]" for number in range(104)]
    vocabulary = [names[0], *filler[:99], names[1], *filler[99:102], *names[2:]]
    (folder / VOCABULARY).write_text("\n".join(vocabulary), encoding="utf-8")
    write(folder / GAZETTEER, [("MEDICATION", ["aspirin"])])
    shape = Shape(
        pieces=len(vocabulary), width=32, layers=1, heads=2, inner=64, positions=128, dropout=0.0
    )
    schedule = Schedule(
        steps=60, decay=30, warmup=5, encoder_rate=3e-3, head_rate=1e-2, average=0.8
    )
    recipe = build.Recipe(seeds=(1, 2), schedule=schedule, shape=shape)
    documents = _documents()
    reader = build.reader_of(folder)
    lines: list[str] = []
    states = []
    for one in recipe.schedules():
        model = build.untrained(shape, None)
        train(model, [d for d in documents if not d.held_out], reader, one, lines.append)
        states.append(model.state_dict())
    build.finish(folder, states, documents, recipe, lines.append)
    assert any("int8" in line for line in lines)
    return folder


def test_a_trained_model_finds_what_it_was_taught(trained: Path) -> None:
    recogniser, manifest = shipped(trained)
    text = "aspirin was given for sepsis today."
    found = recogniser.find(text, [(0, len(text))])["bc5cdr"]
    assert [(text[f.begin : f.end], f.kind) for f in found] == [
        ("aspirin", "Chemical"),
        ("sepsis", "Disease"),
    ]
    assert all(0 < one.score < 1 for one in found)
    assert manifest.trained["documents"]["bc5cdr"]["held_out"] == 4


def test_a_file_that_was_changed_is_refused(trained: Path, tmp_path: Path) -> None:
    for file in trained.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = bytearray((tmp_path / WEIGHTS).read_bytes())
    weights[len(weights) // 2] ^= 1
    (tmp_path / WEIGHTS).write_bytes(weights)
    with pytest.raises(ModelError, match="SHA-256"):
        shipped(tmp_path)


def test_the_same_seed_gives_the_same_weights(trained: Path) -> None:
    from nlp.training import build
    from nlp.training.encoder import Shape
    from nlp.training.finetune import Schedule, train

    reader = build.reader_of(trained)
    pieces = len((trained / VOCABULARY).read_text(encoding="utf-8").split("\n"))
    shape = Shape(pieces=pieces, width=32, layers=1, heads=2, inner=64, positions=128)
    digests = []
    for _ in range(2):
        model = build.untrained(shape, None)
        schedule = Schedule(steps=4, decay=2, warmup=1)
        train(model, _documents(), reader, schedule, lambda line: None)
        values = model.heads[0].weight.detach().numpy().tobytes()
        digests.append(hashlib.sha256(values).hexdigest())
    assert digests[0] == digests[1]


def test_a_seed_is_kept_for_the_schedule_that_made_it(trained: Path, tmp_path: Path) -> None:
    if not torch_is_here():
        pytest.skip("needs the extra `train` (torch, onnx)")
    import torch

    from nlp.training.encoder import Shape
    from nlp.training.finetune import Schedule
    from nlp.training.kept_seeds import KeptSeeds

    kept = KeptSeeds(tmp_path / "seeds", trained, Shape())
    assert kept.get(Schedule()) is None
    weights = {"heads.0.weight": torch.arange(4.0).reshape(2, 2).T}
    kept.keep(Schedule(), weights)
    found = kept.get(Schedule())
    assert found is not None and torch.equal(found["heads.0.weight"], weights["heads.0.weight"])
    assert kept.get(Schedule(seed=2)) is None
    assert kept.get(Schedule(steps=7)) is None
    assert KeptSeeds(tmp_path / "seeds", trained, Shape(width=1)).get(Schedule()) is None
    assert KeptSeeds(None, trained, Shape()).get(Schedule()) is None


def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHARTLAKE_DATA", raising=False)
    expected = "CHARTLAKE_DATA" if torch_is_here() else r"chartlake\[train\]"
    with pytest.raises(TrainingError, match=expected):
        find_sources()
    if torch_is_here():
        (tmp_path / "corpora").mkdir()
        with pytest.raises(TrainingError, match="bc5cdr"):
            find_sources(str(tmp_path))


def test_pubtator_and_brat(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(
        gzip.compress(b"1|t|Gout.\n1|a|No drug.\n1\t0\t4\tGout\tDisease\tD1\n\n")
    )
    (document,) = pubtator_file(tmp_path / "a.txt.gz", BC5CDR)
    assert document.text == "Gout. No drug."
    assert document.gold == (Gold(0, 4, "Disease"),)
    (tmp_path / "b.txt").write_text("Chest and back pain.", encoding="utf-8")
    (tmp_path / "b.ann").write_text(
        "T1\tSign_symptom 0 5;15 19\tChest pain\nE1\tSign_symptom:T1 \n", encoding="utf-8"
    )
    (document,) = brat_folder(tmp_path)
    assert document.gold == (Gold(0, 19, "Sign_symptom"),)


def test_longest_where_mentions_overlap() -> None:
    gold = [Gold(0, 4, "A"), Gold(0, 9, "B"), Gold(10, 12, "A")]
    assert without_overlap(gold) == (Gold(0, 9, "B"), Gold(10, 12, "A"))


def test_tags_of_a_document() -> None:
    from nlp.models.windows import Reader
    from nlp.models.wordpiece import WordPiece

    text = "Severe chest pain. It went."
    document = Annotated("x", MACCROBAT, text, (Gold(7, 17, "Sign_symptom"),), False)
    assert len(sentence_spans(text)) == 2
    (example,) = examples(document, Reader(WordPiece(["[PAD]"]), None, 64))
    tags = [MACCROBAT.tags[tag] for tag in example.tags]
    assert tags[:4] == ["O", "B-Sign_symptom", "E-Sign_symptom", "O"]
    assert set(tags[4:]) == {"O"}
