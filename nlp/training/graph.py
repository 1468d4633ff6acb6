"""The trained network as an ONNX graph with int8 weights, written node by node.

ONNX Runtime's fused operators are used where the CPU has a fast kernel for them: attention, skip
and norm, matrix products whose left side is quantised as it comes (one scale an input) against
int8 weights with a scale for each output. Embeddings are int8 with a scale for each row.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nlp.training.encoder import Recogniser, Shape

_MS = "com.microsoft"
_EPSILON = 1e-12
Array = NDArray[np.generic]


@dataclass(slots=True)
class _Graph:
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: Array) -> str:
        """Add a constant and return its name."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(
        self, kind: str, inputs: list[str], name: str, domain: str = "", **kept: object
    ) -> str:
        """Add a node of one output and return its name."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **kept))
        return name


def quantised(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows of `weight` as int8, symmetric, and the scale of each row."""
    scale = np.abs(weight).max(axis=1) / 127
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return np.round(weight / scale[:, None]).astype(np.int8), scale


def _linear(
    graph: _Graph, name: str, given: str, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> str:
    whole, scale = quantised(weight)
    return graph.node(
        "DynamicQuantizeMatMul",
        [
            given,
            graph.constant(f"{name}.weight", whole.T),
            graph.constant(f"{name}.scale", scale),
            graph.constant(f"{name}.zero", np.zeros(len(scale), dtype=np.int8)),
            graph.constant(f"{name}.bias", bias),
        ],
        name,
        _MS,
    )


def _embedding(graph: _Graph, name: str, ids: str, weight: NDArray[np.float32]) -> str:
    whole, scale = quantised(weight)
    rows = graph.node("Gather", [graph.constant(f"{name}.rows", whole), ids], f"{name}.gather")
    plain = graph.node("Cast", [rows], f"{name}.cast", to=TensorProto.FLOAT)
    scales = graph.node(
        "Gather", [graph.constant(f"{name}.scale", scale[:, None]), ids], f"{name}.scales"
    )
    return graph.node("Mul", [plain, scales], name)


def _norm(graph: _Graph, name: str, given: list[str], weights: dict[str, Array], key: str) -> str:
    return graph.node(
        "SkipLayerNormalization",
        [
            *given,
            graph.constant(f"{name}.gamma", weights[f"{key}.weight"]),
            graph.constant(f"{name}.beta", weights[f"{key}.bias"]),
        ],
        name,
        _MS,
        epsilon=_EPSILON,
    )


def _layer(graph: _Graph, number: int, given: str, shape: Shape, weights: dict[str, Array]) -> str:
    key = f"encoder.layers.{number}"
    name = f"layer{number}"

    def linear(part: str, source: str) -> str:
        return _linear(
            graph,
            f"{name}.{part}",
            source,
            weights[f"{key}.{part}.weight"],  # type: ignore[arg-type]
            weights[f"{key}.{part}.bias"],  # type: ignore[arg-type]
        )

    qkv = linear("qkv", given)
    parts = [f"{name}.q", f"{name}.k", f"{name}.v"]
    graph.nodes.append(
        helper.make_node("Split", [qkv], parts, name=f"{name}.split", axis=2, num_outputs=3)
    )
    mixed = graph.node(
        "MultiHeadAttention",
        [*parts, "", "mask"],
        f"{name}.attention",
        _MS,
        num_heads=shape.heads,
    )
    halfway = _norm(
        graph, f"{name}.norm1", [given, linear("out", mixed)], weights, f"{key}.norm_attention"
    )
    wide = graph.node("Gelu", [linear("up", halfway)], f"{name}.gelu", _MS)
    return _norm(graph, f"{name}.norm2", [halfway, linear("down", wide)], weights, f"{key}.norm")


def graph_of(model: Recogniser) -> onnx.ModelProto:
    """The network of `model`: `ids`, `features` (batch, length), `first`, `last` → `scores`."""
    shape = model.encoder.shape
    weights = {name: value.float().cpu().numpy() for name, value in model.state_dict().items()}
    graph = _Graph()
    graph.constant("pad", np.array(0, dtype=np.int64))
    present = graph.node("Equal", ["ids", "pad"], "padded")
    present = graph.node("Not", [present], "present")
    graph.node("Cast", [present], "mask", to=TensorProto.INT32)
    size = graph.node("Shape", ["ids"], "length", start=1, end=2)
    graph.constant("zero", np.array([0], dtype=np.int64))
    graph.constant("positions", weights["encoder.positions.weight"])
    places = graph.node("Slice", ["positions", "zero", size], "places")
    pieces = _embedding(graph, "pieces", "ids", weights["encoder.pieces.weight"])
    graph.constant("features.table", weights["encoder.features.weight"])
    hints = graph.node("Gather", ["features.table", "features"], "hints")
    x = graph.node("Add", [pieces, places], "placed")
    x = _norm(graph, "norm", [x, hints], weights, "encoder.norm")
    for number in range(shape.layers):
        x = _layer(graph, number, x, shape, weights)
    graph.constant("rows", np.array([-1, shape.width], dtype=np.int64))
    flat = graph.node("Reshape", [x, "rows"], "flat")
    begin = graph.node("Gather", [flat, "first"], "begin")
    end = graph.node("Gather", [flat, "last"], "end")
    words = graph.node("Concat", [begin, end], "words", axis=1)
    heads = range(len(model.names))
    _linear(
        graph,
        "scores",
        words,
        np.concatenate([weights[f"heads.{n}.weight"] for n in heads]),
        np.concatenate([weights[f"heads.{n}.bias"] for n in heads]),
    )
    batch = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("ids", "features")
    ]
    places_of_words = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["words"])
        for name in ("first", "last")
    ]
    tags = sum(len(weights[f"heads.{n}.bias"]) for n in heads)
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["words", tags])
    made = helper.make_graph(
        graph.nodes, "recogniser", [*batch, *places_of_words], [scores], graph.weights
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(_MS, 1)]
    return helper.make_model(made, opset_imports=opsets, ir_version=9, producer_name="chartlake")


def write_graph(model: Recogniser, path: Path) -> None:
    """Write the graph of `model`; the same weights give the same bytes."""
    path.write_bytes(graph_of(model).SerializeToString(deterministic=True))
