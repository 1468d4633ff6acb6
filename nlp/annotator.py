"""`Annotator`: text in, mentions out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spacy.language import Language
from spacy.tokens import Span

from nlp.layout import Layout
from nlp.mention import TRAITS, Attribute, Mention
from nlp.note_language import LANGUAGE_NOT_SUPPORTED, is_read, note_language
from nlp.pipeline import NlpConfig, build
from nlp.sections import Section


def chunks(text: str, size: int) -> Iterator[tuple[int, int]]:
    """Spans that cover `text`, each at most `size` code points, cut where least is torn.

    Blank line before line end before sentence end before blank, looked for in the last half.
    """
    begin = 0
    while len(text) - begin > size:
        low, high = begin + size // 2, begin + size
        for separator in ("\n\n", "\n", ". ", " "):
            cut = text.rfind(separator, low, high)
            if cut >= 0:
                end = cut + len(separator)
                break
        else:
            end = high
        yield begin, end
        begin = end
    if begin < len(text):
        yield begin, len(text)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one text.

    `language`: BCP 47, None where the words do not tell. `flags`: why it was not read, or not
    wholly: `language-not-supported` for a text that is not English, which has no mentions.
    """

    mentions: tuple[Mention, ...]
    language: str | None
    flags: tuple[str, ...] = ()


class Annotator:
    """Reads notes. Build once with `load`, then call `annotate` as often as needed.

    Not for use by several threads at once; one per process or thread.
    """

    def __init__(self, nlp: Language, config: NlpConfig) -> None:
        self._nlp = nlp
        self._config = config

    @classmethod
    def load(cls, config: NlpConfig | None = None) -> "Annotator":
        """Read the terminologies and build the pipeline: seconds. OSError for a bad model."""
        chosen = config or NlpConfig()
        return cls(build(chosen), chosen)

    def annotate(self, text: str) -> list[Mention]:
        """The mentions of `read(text)`; none for a text that is not English."""
        return list(self.read(text).mentions)

    def read(self, text: str) -> Reading:
        """What is said in `text`, in order of place. Pure: the same text gives the same reading.

        Any text is taken: no length is refused, nothing in it raises. Offsets are code points of
        `text` as given, line ends and emoji included. What is not English is not read but flagged.
        """
        language = note_language(text)
        if not is_read(language):
            return Reading((), language, (LANGUAGE_NOT_SUPPORTED,))
        found: list[Mention] = []
        opening: Section | None = None
        for begin, end in chunks(text, self._config.chunk_chars):
            mentions, opening = self._annotate_chunk(text[begin:end], begin, opening)
            found.extend(mentions)
        return Reading(tuple(found), language)

    def _annotate_chunk(
        self, text: str, offset: int, opening: Section | None
    ) -> tuple[list[Mention], Section | None]:
        layout = Layout(text)
        if not layout.clean.strip():
            return [], opening
        # Strings that only this chunk has are freed with the zone: memory does not grow with use.
        with self._nlp.memory_zone():
            doc = self._nlp.make_doc(layout.clean)
            doc.user_data["opening_section"] = opening
            doc = self._nlp(doc)
            mentions = [_mention(ent, layout, offset) for ent in doc.ents]
            last = doc._.sections[-1] if doc._.sections else opening
        return mentions, last


def _mention(ent: Span, layout: Layout, offset: int) -> Mention:
    begin, end = layout.original_span(ent.start_char, ent.end_char)
    return Mention(
        text=layout.original[begin:end],
        begin=offset + begin,
        end=offset + end,
        category=ent.label_,
        type=ent._.type or ent.label_,
        score=round(float(ent._.score), 4),
        traits=tuple(trait for trait in TRAITS if trait in ent._.traits),
        attributes=tuple(
            _attribute(a, layout, offset)
            for a in sorted(ent._.attributes, key=lambda a: (a.begin, a.end, a.type))
        ),
        concepts=tuple(ent._.concepts),
        section=ent._.section,
        flags=ent._.flags,
    )


def _attribute(attribute: Attribute, layout: Layout, offset: int) -> Attribute:
    begin, end = layout.original_span(attribute.begin, attribute.end)
    return replace(
        attribute, text=layout.original[begin:end], begin=offset + begin, end=offset + end
    )
