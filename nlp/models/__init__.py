"""The shipped recogniser, and token classifiers of one's own, run by ONNX Runtime."""

from nlp.models.manifest import Manifest, ModelError, read_manifest
from nlp.models.shipped import SHIPPED_FOLDER, shipped

__all__ = ["SHIPPED_FOLDER", "Manifest", "ModelError", "read_manifest", "shipped"]
