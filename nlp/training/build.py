"""From the corpora to the shipped folder: names, weights, calibration, manifest, picture."""

import hashlib
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nlp.models.calibration import Calibration, curves
from nlp.models.gazetteer import Gazetteer
from nlp.models.gazetteer import write as write_names
from nlp.models.manifest import (
    FILES,
    GAZETTEER,
    MANIFEST,
    VOCABULARY,
    WEIGHTS,
    Manifest,
    digest,
)
from nlp.models.recogniser import Recogniser as Finder
from nlp.models.runtime import Emissions
from nlp.models.schemes import SCHEMES
from nlp.models.shipped import vocabulary
from nlp.models.windows import Reader
from nlp.training.corpora import Annotated, annotated
from nlp.training.encoder import Recogniser, Shape, load_bert
from nlp.training.finetune import Schedule, train
from nlp.training.gazetteer_build import names
from nlp.training.graph import write_graph
from nlp.training.kept_seeds import KeptSeeds
from nlp.training.pubmed import citations
from nlp.training.reliability import reliability_svg
from nlp.training.scoring import Report, score
from nlp.training.sources import Sources

WINDOW = 128
RELIABILITY = "reliability.svg"
# The heads begin alike for all seeds, so that the mean of the trained weights makes sense.
_HEADS_SEED = 1

Told = Callable[[str], None]
Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the shipped weights were made: the same schedule for each seed."""

    version: str = "1.1.0"
    seeds: tuple[int, ...] = (1, 2)
    schedule: Schedule = field(default_factory=Schedule)
    shape: Shape = field(default_factory=Shape)

    def of_steps(self, steps: int) -> "Recipe":
        """A schedule of `steps` a seed, the rate falling over the last three fifths."""
        schedule = replace(
            self.schedule, steps=steps, decay=max(1, steps * 3 // 5), warmup=max(1, steps // 10)
        )
        return replace(self, schedule=schedule)

    def schedules(self) -> list[Schedule]:
        """The schedule of each seed."""
        return [replace(self.schedule, seed=seed) for seed in self.seeds]


def device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare(sources: Sources, folder: Path) -> None:
    """Write the vocabulary and the frozen dictionary."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sources.encoder / "vocab.txt", folder / VOCABULARY)
    write_names(folder / GAZETTEER, names(citations(sources.medline)))


def reader_of(folder: Path) -> Reader:
    """The reader of a prepared folder."""
    return Reader(vocabulary(folder / VOCABULARY), Gazetteer.read(folder / GAZETTEER), WINDOW)


def untrained(shape: Shape, encoder: Path | None) -> Recogniser:
    """The network before training. `encoder`: a `model.safetensors` to begin from."""
    torch.manual_seed(_HEADS_SEED)
    model = Recogniser(shape, {scheme.name: len(scheme.tags) for scheme in SCHEMES})
    if encoder is not None:
        load_bert(model.encoder, encoder)
    return model


def mean_of(states: Sequence[Weights]) -> Weights:
    """The mean of several seeds' weights (model soup, arXiv 2203.05482)."""
    return {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}


def figures(reports: Mapping[str, Report]) -> dict[str, Any]:
    """F1 by scheme and type, exact and partial, for the manifest."""
    made: dict[str, Any] = {}
    for name, report in reports.items():
        rows = {**report.kinds, "micro": report.micro}
        made[name] = {
            kind: {
                "mentions": tally.gold,
                "precision": round(tally.precision, 4),
                "recall": round(tally.recall, 4),
                "f1": round(tally.f1, 4),
                "partial_f1": round(tally.partial_f1, 4),
            }
            for kind, tally in rows.items()
        }
    return made


def line(name: str, reports: Mapping[str, Report]) -> str:
    """Micro F1 of each scheme in one line."""
    return f"{name}: " + ", ".join(f"{k} F1 {r.micro.f1:.4f}" for k, r in reports.items())


def finish(
    folder: Path,
    states: Sequence[Weights],
    documents: Sequence[Annotated],
    recipe: Recipe,
    told: Told,
) -> Manifest:
    """From trained weights to a folder that can be shipped; the scores are the int8 graph's."""
    reader = reader_of(folder)
    held_out = [document for document in documents if document.held_out]
    model = untrained(recipe.shape, None)
    by_seed: dict[str, Any] = {}
    for schedule, state in zip(recipe.schedules(), states, strict=True):
        model.load_state_dict(state)
        write_graph(model, folder / WEIGHTS)
        reports = score(Finder(reader, SCHEMES, Emissions(folder / WEIGHTS)), held_out)
        told(line(f"seed {schedule.seed}, int8", reports))
        by_seed[str(schedule.seed)] = {k: round(r.micro.f1, 4) for k, r in reports.items()}
    model.load_state_dict(mean_of(states))
    write_graph(model, folder / WEIGHTS)
    reports = score(Finder(reader, SCHEMES, Emissions(folder / WEIGHTS)), held_out)
    told(line("mean of the seeds, int8", reports))
    scored = {name: report.scored for name, report in reports.items()}
    manifest = Manifest(
        version=recipe.version,
        schemes=SCHEMES,
        window=WINDOW,
        calibration=curves(scored),
        sha256={name: digest(folder / name) for name in FILES},
        trained={
            "recipe": asdict(recipe),
            "documents": _counts(documents),
            "scores": figures(reports),
            "seeds": by_seed,
        },
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    (folder / RELIABILITY).write_text(reliability_svg(crossfit(reports)), encoding="utf-8")
    return manifest


def crossfit(reports: Mapping[str, Report]) -> dict[str, list[tuple[float, bool]]]:
    """Calibrated score and truth of held-out mentions, each half judged by the other's curves."""
    rng = random.Random(0)  # noqa: S311 - no secret
    halves: list[dict[str, list[tuple[str, float, bool]]]] = [{}, {}]
    for name, report in reports.items():
        for row in report.scored:
            halves[rng.randrange(2)].setdefault(name, []).append(row)
    made: dict[str, list[tuple[float, bool]]] = {}
    for own, other in (halves, halves[::-1]):
        calibration = Calibration(curves(other))
        for name, rows in own.items():
            made.setdefault(name, []).extend(
                (calibration(name, kind, log), right) for kind, log, right in rows
            )
    return made


def _counts(documents: Sequence[Annotated]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    for scheme in SCHEMES:
        own = [document for document in documents if document.scheme.name == scheme.name]
        names_held_out = sorted(document.name for document in own if document.held_out)
        counts[scheme.name] = {
            "trained": len(own) - len(names_held_out),
            "held_out": len(names_held_out),
            "held_out_sha256": hashlib.sha256("\n".join(names_held_out).encode()).hexdigest(),
        }
    return counts


def build(
    sources: Sources, folder: Path, recipe: Recipe, told: Told, kept: Path | None = None
) -> Manifest:
    """Train every seed, average, export, score, calibrate. Hours on a CPU, minutes on a GPU.

    `kept`: a folder that keeps each seed's weights, and those of an earlier run that broke off.
    """
    prepare(sources, folder)
    reader = reader_of(folder)
    documents = annotated(sources.corpora)
    trained = [document for document in documents if not document.held_out]
    seeds = KeptSeeds(kept, folder, recipe.shape)
    states: list[Weights] = []
    for schedule in recipe.schedules():
        prefix = f"seed {schedule.seed}"
        state = seeds.get(schedule)
        if state is None:
            model = untrained(recipe.shape, sources.encoder / "model.safetensors").to(device())
            train(model, trained, reader, schedule, lambda s, p=prefix: told(f"{p}: {s}"))  # type: ignore[misc]
            state = {name: value.cpu() for name, value in model.state_dict().items()}
            seeds.keep(schedule, state)
        else:
            told(f"{prefix}: trained already")
        states.append(state)
    return finish(folder, states, documents, recipe, told)
