"""Notes that are not English are told from those that are; lists and short texts are of none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlp.note_language import is_read, note_language

NOTES = {
    "es": "Paciente de 54 años con antecedentes de hipertensión que acude por dolor en el pecho "
    "desde hace dos días. No tiene fiebre ni tos. Se le indica aspirina y control en una semana.",
    "de": "Der Patient stellt sich mit seit drei Tagen bestehenden Schmerzen in der Brust vor. "
    "Kein Fieber, kein Husten. Bekannt ist ein Diabetes mellitus. Er nimmt Metformin 500 mg.",
    "fr": "Patient de 60 ans avec antécédents d'hypertension, qui se présente pour une douleur "
    "dans la poitrine depuis deux jours. Il n'a pas de fièvre. Traitement par aspirine.",
    "pt": "Paciente com dor no peito há dois dias, sem febre. Tem antecedentes de hipertensão e "
    "não faz uso de medicamentos. Foi orientado a voltar se a dor não passar em uma semana.",
    "it": "Il paziente si presenta con dolore al petto da due giorni. Non ha febbre né tosse. "
    "Ha una storia di ipertensione ed è in terapia con lisinopril 10 mg al giorno.",
    "nl": "De patiënt komt met pijn op de borst sinds twee dagen. Hij heeft geen koorts en hoest "
    "niet. In de voorgeschiedenis is er hypertensie. Hij wordt behandeld met aspirine.",
    "pl": "Pacjent zgłosił się do szpitala z powodu bólu w klatce piersiowej od dwóch dni. Nie ma "
    "gorączki ani kaszlu. W wywiadzie nadciśnienie, które jest leczone, oraz cukrzyca.",
    "zh": "患者因胸痛两天就诊,无发热,无咳嗽。既往有高血压病史,服用阿司匹林。",
    "ja": "患者は二日前から胸の痛みがあり来院した。発熱や咳はない。高血圧の既往がある。",
    "ko": "환자는 이틀 전부터 흉통이 있어 내원하였다. 발열이나 기침은 없다.",
    "ar": "المريض يعاني من ألم في الصدر منذ يومين ولا يوجد لديه حمى أو سعال.",
    "ru": "Пациент обратился с жалобами на боль в груди в течение двух дней. Температуры нет.",
    "he": "המטופל פנה עם כאבים בחזה מזה יומיים. אין חום ואין שיעול.",
    "el": "Ο ασθενής προσήλθε με πόνο στο στήθος από διημέρου. Δεν έχει πυρετό.",
}
DRUGS = "metformina 500 mg, lisinopril 10 mg, aspirin 81 mg, Bactrim DS, insulin glargine 20 units"


@pytest.mark.parametrize(("language", "text"), NOTES.items())
def test_note_in_another_language(language: str, text: str) -> None:
    assert note_language(text) == language
    assert not is_read(note_language(text))
    assert note_language(text.upper()) == language


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Pneumonia.",
        "No fever.",
        "DM, HTN, CHF, CKD",
        DRUGS,
        DRUGS.replace(", ", "\n"),
        "Dolor.",
        "BP 120/80 HR 72 RR 16 T 98.6 SpO2 98% RA",
        "Na 138, K 4.1, Cr 1.2 mg/dL, WBC 12.3",
        "😀 ∆ →",
        "CABG x3, LAD, RCA, LCx; EF 55%; s/p PCI DES",
        "Dr. de la Cruz, St. Josef, Rue de la Paix",
        "1234 5678\n\n\n!!!",
    ],
)
def test_what_is_of_no_language_is_read(text: str) -> None:
    assert is_read(note_language(text))


def test_of_two_languages_the_greater_part_counts() -> None:
    english = (
        "The patient is a 54-year-old man who presents with chest pain. He denies fever and cough."
        " He was given aspirin and will be seen in the clinic next week."
    )
    quoted = 'He said, through an interpreter, "me duele mucho el pecho desde ayer".'
    assert note_language(f"{english} {quoted}") == "en"
    assert note_language(f"{english}\n{NOTES['zh']}") == "en"
    assert note_language(f"{NOTES['es']} {NOTES['es']}\nImpression: chest pain.") == "es"


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert note_language(text) is None or len(note_language(text) or "") == 2


def test_a_long_text_is_sampled() -> None:
    assert note_language(NOTES["de"] * 20_000) == "de"
