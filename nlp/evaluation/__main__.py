"""`python -m nlp.evaluation negex | bc5cdr | maccrobat | speed`."""

import argparse
import resource
import sys
import time

from nlp.annotator import Annotator
from nlp.evaluation import corpora
from nlp.evaluation.negation import score_negation
from nlp.evaluation.recognition import BC5CDR, MACCROBAT, score_recognition
from nlp.pipeline import NlpConfig, build

_SPEED_NOTES = 300


def _report(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _speed() -> list[str]:
    started = time.process_time()
    annotator = Annotator.load()
    loaded = time.process_time() - started
    texts = [document.text for document in corpora.mtsamples(corpora.data_folder())][:_SPEED_NOTES]
    words = sum(len(text.split()) for text in texts)
    started = time.process_time()
    mentions = sum(len(annotator.annotate(text)) for text in texts)
    seconds = time.process_time() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        f"load {loaded:.1f} CPU s; peak memory {peak_mb:.0f} MB",
        f"{len(texts)} notes, {words} words, {mentions} mentions",
        f"{words / seconds:.0f} words per CPU s; "
        f"{sum(map(len, texts)) / seconds:.0f} characters per CPU s",
    ]


def main() -> None:
    """Score one corpus and print the table."""
    parser = argparse.ArgumentParser(prog="python -m nlp.evaluation", description=__doc__)
    parser.add_argument("corpus", choices=("negex", "bc5cdr", "maccrobat", "speed"))
    chosen = parser.parse_args().corpus
    if chosen == "speed":
        _report(_speed())
        return
    folder = corpora.data_folder()
    if chosen == "negex":
        scores, missing = score_negation(build(NlpConfig()), corpora.negex(folder))
        _report([scores.row("negation"), f"concepts not located in their sentence: {missing}"])
        return
    documents, labels = {
        "bc5cdr": (corpora.bc5cdr(folder), BC5CDR),
        "maccrobat": (corpora.maccrobat(folder), MACCROBAT),
    }[chosen]
    totals = score_recognition(Annotator.load(), documents, labels)
    _report([s.row(f"{label} exact") for label, (s, _) in totals.items()])
    _report([s.row(f"{label} overlap") for label, (_, s) in totals.items()])


if __name__ == "__main__":
    main()
