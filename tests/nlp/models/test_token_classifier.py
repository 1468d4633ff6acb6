"""A token classifier of one's own, as ONNX: built here from a table of words and labels."""

import json
from pathlib import Path

import pytest

from nlp import Annotator, NlpConfig
from nlp.models.manifest import ModelError
from nlp.models.token_classifier import TokenClassifier

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "zorbax", "##imab", "lunar", "blight", "."]
_LABELS = ["O", "B-CHEMICAL", "I-CHEMICAL", "B-DISEASE", "I-DISEASE"]
# The label that the model gives each piece.
_GIVEN = [0, 0, 0, 0, 1, 2, 3, 4, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    onnx = pytest.importorskip("onnx", reason="needs onnx (extra `train`) to build a model")
    numpy = pytest.importorskip("numpy")
    table = numpy.zeros((len(_WORDS), len(_LABELS)), dtype=numpy.float32)
    for piece, label in enumerate(_GIVEN):
        table[piece, label] = 5.0
    helper = onnx.helper
    integer, real = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    shape = ["batch", "length"]
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["logits"])],
        "table",
        [
            helper.make_tensor_value_info("input_ids", integer, shape),
            helper.make_tensor_value_info("attention_mask", integer, shape),
        ],
        [helper.make_tensor_value_info("logits", real, [*shape, len(_LABELS)])],
        [onnx.numpy_helper.from_array(table, "table")],
    )
    path = tmp_path_factory.mktemp("classifier")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (path / "model.onnx").write_bytes(model.SerializeToString())
    config = {"id2label": {str(n): label for n, label in enumerate(_LABELS)}}
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (path / "vocab.txt").write_text("\n".join(_WORDS), encoding="utf-8")
    return path


def test_labels_become_mentions(folder: Path) -> None:
    text = "Zorbaximab. Lunar blight."
    classifier = TokenClassifier(folder)
    found = classifier.find(text, [(0, 12), (12, len(text))])
    assert [(text[f.begin : f.end], f.kind) for f in found] == [
        ("Zorbaximab", "CHEMICAL"),
        ("Lunar blight", "DISEASE"),
    ]
    assert all(f.score > 0.9 for f in found)
    assert classifier.kinds == {"CHEMICAL", "DISEASE"}


def test_in_the_pipeline_instead_of_the_shipped_one(folder: Path) -> None:
    annotator = Annotator.load(NlpConfig(ner_model=str(folder)))
    found = {m.text: m for m in annotator.annotate("No lunar blight. Takes zorbaximab 5 mg daily.")}
    assert found["zorbaximab"].category == "MEDICATION"
    assert found["lunar blight"].category == "CONDITION"
    assert found["lunar blight"].traits == ("NEGATED",)


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.onnx"):
        TokenClassifier(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"config\.json"):
        TokenClassifier(tmp_path)
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="id2label"):
        TokenClassifier(tmp_path)
    (tmp_path / "config.json").write_text('{"id2label": {"0": "O"}}', encoding="utf-8")
    with pytest.raises(ModelError, match="ONNX Runtime"):
        TokenClassifier(tmp_path)
