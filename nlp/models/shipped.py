"""The recogniser that comes with the product, or one trained like it."""

from pathlib import Path

from nlp.models.calibration import Calibration
from nlp.models.gazetteer import Gazetteer
from nlp.models.manifest import GAZETTEER, VOCABULARY, WEIGHTS, Manifest, read_manifest
from nlp.models.recogniser import Recogniser
from nlp.models.runtime import Emissions
from nlp.models.windows import Reader
from nlp.models.wordpiece import WordPiece

SHIPPED_FOLDER = Path(__file__).parent / "clinical"


def vocabulary(path: Path) -> WordPiece:
    """The word pieces of a `vocab.txt`: one a line, the id is the number of the line."""
    return WordPiece(path.read_text(encoding="utf-8").split("\n"))


def shipped(folder: Path = SHIPPED_FOLDER) -> tuple[Recogniser, Manifest]:
    """Load a recogniser with its manifest. Raises ModelError for a folder that is not whole."""
    manifest = read_manifest(folder)
    reader = Reader(
        vocabulary(folder / VOCABULARY), Gazetteer.read(folder / GAZETTEER), manifest.window
    )
    recogniser = Recogniser(
        reader,
        manifest.schemes,
        Emissions(folder / WEIGHTS),
        Calibration(manifest.calibration),
    )
    return recogniser, manifest
