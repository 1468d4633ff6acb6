"""The network: a BERT encoder (MiniLM-L6's shape), dictionary features, one linear head a scheme.

Written out here rather than taken from a framework: it is a page long, it exports to ONNX without
a trace of anything else, and training needs nothing but torch.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the encoder. The defaults are those of MiniLM-L6-H384."""

    pieces: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    inner: int = 1536
    positions: int = 512
    features: int = 16
    dropout: float = 0.1


class Layer(nn.Module):
    """One transformer layer, normalised after each half as in BERT (arXiv 1810.04805)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.norm_attention = nn.LayerNorm(shape.width, eps=1e-12)
        self.up = nn.Linear(shape.width, shape.inner)
        self.down = nn.Linear(shape.inner, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.drop = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`x`: batch, length, width. `mask`: batch, 1, 1, length, added to attention scores."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) * (width // self.heads) ** -0.5 + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = self.norm_attention(x + self.drop(self.out(mixed)))
        inner: Tensor = self.norm(x + self.drop(self.down(F.gelu(self.up(x)))))
        return inner


class Encoder(nn.Module):
    """Word pieces (and a dictionary feature each) to vectors."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.pieces = nn.Embedding(shape.pieces, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.features = nn.Embedding(shape.features, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.drop = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        nn.init.zeros_(self.features.weight)

    def forward(self, ids: Tensor, features: Tensor) -> Tensor:
        """`ids`, `features`: batch, length; id 0 is padding."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.pieces(ids) + self.positions(places) + self.features(features)
        x = self.drop(self.norm(x))
        mask = ((ids == 0).to(x.dtype) * -1e4)[:, None, None, :]
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Recogniser(nn.Module):
    """The encoder and the heads. A word is seen as its first and its last piece."""

    def __init__(self, shape: Shape, heads: dict[str, int]) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.names = list(heads)
        self.heads = nn.ModuleList(nn.Linear(2 * shape.width, size) for size in heads.values())
        self.drop = nn.Dropout(shape.dropout)

    def words(self, ids: Tensor, features: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Vectors of words. `first`, `last`: where their pieces stand in the flattened batch."""
        # The heads see as many words as there are: in bfloat16 each new number costs a compilation.
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self.training):
            vectors = self.encoder(ids, features)
        flat = vectors.float().reshape(-1, self.encoder.shape.width)
        return torch.cat((flat[first], flat[last]), dim=-1)

    def forward(self, ids: Tensor, features: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Scores of every head's labels side by side: words, labels."""
        words = self.drop(self.words(ids, features, first, last))
        return torch.cat([head(words) for head in self.heads], dim=-1)


def load_bert(encoder: Encoder, path: Path) -> None:
    """Fill `encoder` from a BERT `model.safetensors` of the same shape."""
    given = load_file(path)
    state: dict[str, Tensor] = {
        "pieces.weight": given["embeddings.word_embeddings.weight"],
        # Every sentence is of type 0: its vector is part of the position.
        "positions.weight": given["embeddings.position_embeddings.weight"]
        + given["embeddings.token_type_embeddings.weight"][0],
        "features.weight": encoder.features.weight.detach(),
        "norm.weight": given["embeddings.LayerNorm.weight"],
        "norm.bias": given["embeddings.LayerNorm.bias"],
    }
    places = {
        "out": "attention.output.dense",
        "norm_attention": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm": "output.LayerNorm",
    }
    for number in range(encoder.shape.layers):
        source = f"encoder.layer.{number}."
        for kind in ("weight", "bias"):
            state[f"layers.{number}.qkv.{kind}"] = torch.cat(
                [given[f"{source}attention.self.{n}.{kind}"] for n in ("query", "key", "value")]
            )
            for ours, theirs in places.items():
                state[f"layers.{number}.{ours}.{kind}"] = given[f"{source}{theirs}.{kind}"]
    encoder.load_state_dict(state)
