"""What a model folder holds: its files with their digests, its schemes, calibration and history."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nlp.models.schemes import Scheme

MANIFEST = "manifest.json"
WEIGHTS = "model.onnx"
VOCABULARY = "vocab.txt"
GAZETTEER = "gazetteer.txt.gz"
FILES = (WEIGHTS, VOCABULARY, GAZETTEER)


class ModelError(OSError):
    """A model folder that cannot be used; the message says which file and why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`calibration`: for each scheme and type, points (log probability, share that is right).

    `trained`: seeds, data, steps and scores, for people; nothing reads it at run time.
    """

    version: str
    schemes: tuple[Scheme, ...]
    window: int
    calibration: Mapping[str, Mapping[str, tuple[tuple[float, float], ...]]]
    sha256: Mapping[str, str]
    trained: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest and check every file against it. Raises ModelError."""
    try:
        raw = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = Manifest(
            version=raw["version"],
            schemes=tuple(
                Scheme(s["name"], tuple(s["types"]), s.get("agreement"), s.get("least", 0.0))
                for s in raw["schemes"]
            ),
            window=int(raw["window"]),
            calibration={
                scheme: {
                    kind: tuple((float(x), float(y)) for x, y in points)
                    for kind, points in kinds.items()
                }
                for scheme, kinds in raw["calibration"].items()
            },
            sha256=raw["sha256"],
            trained=raw["trained"],
        )
    except OSError as error:
        raise ModelError(f"no model in {folder}: {MANIFEST} cannot be read") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / MANIFEST} is not the manifest of a model") from error
    for name in FILES:
        if not (folder / name).is_file():
            raise ModelError(f"the model in {folder} lacks {name}")
        if digest(folder / name) != manifest.sha256.get(name):
            raise ModelError(
                f"{folder / name} is not the file that its manifest names (SHA-256 differs); "
                "restore it or train again with `chartlake nlp train`"
            )
    return manifest
