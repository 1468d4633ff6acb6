"""Lists under a header, forms with boxes, signs before findings."""

import pytest

from nlp.lists import ListScopes
from nlp.mention import HYPOTHETICAL, NEGATED, UNCERTAIN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Denies:\n- fever\n- cough\nReports:\n- rash", {"fever": NEGATED, "cough": NEGATED}),
        ("Negative for:\n* fever\n* cough\n\nrash", {"fever": NEGATED, "cough": NEGATED}),
        ("Patient denies the following:\nfever\ncough\nHas rash today.", {"fever": NEGATED}),
        ("Pertinent negatives:\n\n1. fever\n2. cough\nrash: yes", {"cough": NEGATED}),
        ("Return to the ED for any of these:\n- fever\n\nrash", {"fever": HYPOTHETICAL}),
        ("Rule out:\n- fever\nPlan:\n- rash", {"fever": UNCERTAIN}),
        ("[ ] fever\n[x] rash", {"fever": HYPOTHETICAL}),
        ("☐ fever ☑ rash ☐ cough", {"fever": HYPOTHETICAL, "cough": HYPOTHETICAL}),
        ("fever ☐ rash ☒ cough ☐", {"fever": HYPOTHETICAL, "cough": HYPOTHETICAL}),
        ("rash: [x] yes [ ] no  fever: [ ] yes [x] no", {"fever": NEGATED}),
        ("fever: [ ] yes [ ] no", {"fever": HYPOTHETICAL}),
        ("+rash, - fever, -cough", {"fever": NEGATED, "cough": NEGATED}),
        ("Denies:\n- fever\n- cough\nShe has had a rash.", {"fever": NEGATED, "cough": NEGATED}),
    ],
)
def test_scopes(text: str, expected: dict[str, str]) -> None:
    lists = ListScopes(text)
    found = {
        word: lists.trait_at(text.index(word))
        for word in ("fever", "cough", "rash")
        if word in text
    }
    for word, trait in expected.items():
        assert found[word] == trait, word
    assert found.get("rash") is None


@pytest.mark.parametrize(
    "text",
    [
        "Cough:\n- fever",
        "Does not deny:\n- fever",
        "Assessment - fever",
        "fever 38-39",
        "(fever)",
        "- fever\n- cough",
        "Plan: x-ray - fever",
        "- Counseling: we discussed ice. - fever is treated with acetaminophen",
    ],
)
def test_no_scope(text: str) -> None:
    assert ListScopes(text).trait_at(text.index("fever")) is None
