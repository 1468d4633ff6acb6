"""Which language a note is written in: only English is read, and a note that is not is flagged.

Function words decide (spaCy's stop-word lists, which come with it), for other scripts the script.
Drug names, doses and abbreviations are nobody's words, so a list of drugs is of no language and is
read; so is a text too short to tell. Of a note in two languages the one with more words counts.
"""

import re
from collections import Counter
from functools import cache
from importlib import import_module

ENGLISH = "en"
LANGUAGE_NOT_SUPPORTED = "language-not-supported"

_LATIN = "es pt fr it ro ca de nl sv da nb pl cs hu fi tr id hr sq lt"
# The first letter and the last of the blocks of a script, and its most spoken language (BCP 47).
_SCRIPTS = (
    ("ja", "\u3040", "\u30ff"),
    ("ko", "\u1100", "\u11ff"),
    ("ko", "\uac00", "\ud7af"),
    ("zh", "\u3400", "\u9fff"),
    ("zh", "\U00020000", "\U0002fa1f"),
    ("ru", "\u0400", "\u052f"),
    ("el", "\u0370", "\u03ff"),
    ("he", "\u0590", "\u05ff"),
    ("ar", "\u0600", "\u06ff"),
    ("ar", "\ufb50", "\ufdff"),
    ("hi", "\u0900", "\u097f"),
    ("bn", "\u0980", "\u09ff"),
    ("ta", "\u0b80", "\u0bff"),
    ("te", "\u0c00", "\u0c7f"),
    ("th", "\u0e00", "\u0e7f"),
)
# Where the writing is English's own but hardly a sentence is: `BP 120/80, no edema, continue meds`.
_ENGLISH_NOTES = (
    "patient patients history pain denies denied reports reported daily blood pressure chest "
    "left right normal exam plan assessment follow continue continued start started stop "
    "stopped day days week weeks month months year years old male female woman man diagnosis "
    "disease acute chronic medication medications tablet tablets mouth needed take takes "
    "taking status post given noted positive negative heart lungs abdomen skin pulse weight "
    "height family social surgery procedure treatment discharge admitted admission today "
    "yesterday fever cough nausea vomiting headache shortness breath edema bilateral findings "
    "impression allergies review systems general alert clear soft tender non without with and "
    "the "
)
_FOREIGN_NOTES = {
    "es": "paciente años dolor fiebre tos presenta niega tratamiento días hipertensión diabetes",
    "pt": "paciente anos dor febre tosse apresenta nega tratamento dias hipertensão não",
    "fr": "patiente ans douleur fièvre toux présente traitement jours âgé âgée antécédents",
    "it": "paziente anni dolore febbre tosse presenta nega trattamento giorni ipertensione",
    "de": "patientin jahre schmerzen fieber husten befund behandlung tage jähriger jährige",
    "nl": "patiënte jaar pijn koorts hoest behandeling dagen klachten voorgeschiedenis",
}
_WORD = re.compile(r"[^\W\d_]{2,}")
# What is read of a long text: as much from its beginning, its middle and its end.
_SAMPLE_CHARS = 20_000
# Of fewer words, or of fewer letters of another script, nothing is concluded. `Dr. de la Cruz`.
_MIN_WORDS, _MIN_DIFFERENT, _MIN_LETTERS = 6, 3, 8
# The words of the other language must be this part of all words, and outnumber the English ones.
_MIN_SHARE, _OUTNUMBER = 0.12, 1.5


def _stop_words(language: str) -> frozenset[str]:
    return frozenset(import_module(f"spacy.lang.{language}.stop_words").STOP_WORDS)


@cache
def _languages_of_words() -> dict[str, tuple[str, ...]]:
    """Lower-case word → the languages that use it; what English has is English's alone."""
    english = _stop_words(ENGLISH) | frozenset(_ENGLISH_NOTES.split())
    found: dict[str, tuple[str, ...]] = dict.fromkeys(english, (ENGLISH,))
    for language in _LATIN.split():
        words = _stop_words(language) | frozenset(_FOREIGN_NOTES.get(language, "").split())
        for word in words - english:
            if _WORD.fullmatch(word):
                found[word] = (*found.get(word, ()), language)
    return found


def _sample(text: str) -> str:
    if len(text) <= 3 * _SAMPLE_CHARS:
        return text
    middle = len(text) // 2
    ranges = ((0, _SAMPLE_CHARS), (middle, middle + _SAMPLE_CHARS), (-_SAMPLE_CHARS, None))
    return "\n".join(text[begin:end] for begin, end in ranges)


def _of_script(text: str) -> str | None:
    """The language of the script, other than Latin, that most letters are of."""
    letters = Counter(character for character in text if character.isalpha())
    total = letters.total()
    by_language: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter > "\u036f":
            language = next((name for name, a, z in _SCRIPTS if a <= letter <= z), None)
            if language is not None:
                by_language[language] += count
    if by_language.total() < _MIN_LETTERS or by_language.total() * 2 <= total:
        return None
    # A Japanese text has more Han characters than kana, a Chinese one has no kana.
    if by_language["ja"] * 10 > by_language["zh"] > 0:
        return "ja"
    return by_language.most_common(1)[0][0]


def note_language(text: str) -> str | None:
    """The language (BCP 47) of `text`, None where its words do not tell.

    >>> note_language("The patient denies chest pain and has no fever.")
    'en'
    >>> note_language("metformin 500 mg, lisinopril 10 mg") is None
    True
    """
    sample = _sample(text)
    if not sample.isascii() and (script := _of_script(sample)) is not None:
        return script
    words = Counter(_WORD.findall(sample.lower()))
    hits: Counter[str] = Counter()
    different: Counter[str] = Counter()
    known = _languages_of_words()
    for word, count in words.items():
        for language in known.get(word, ()):
            hits[language] += count
            different[language] += 1
    english = hits.pop(ENGLISH, 0)
    total = words.total()
    if hits and total >= _MIN_WORDS:
        best, count = hits.most_common(1)[0]
        enough = different[best] >= _MIN_DIFFERENT and count >= _MIN_SHARE * total
        if enough and count > _OUTNUMBER * english:
            return best
    return ENGLISH if english else None


def is_read(language: str | None) -> bool:
    """Whether a note in that language is read: English, or one that its words do not tell."""
    return language in (ENGLISH, None)
