"""Procedures (SNOMED CT) and vaccines (CVX)."""

from __future__ import annotations

from schemas.codes import CVX
from service.synth.concepts import Json, coding, concept, snomed

# key: (concept, how a note says it)
PROCEDURES: dict[str, tuple[Json, str]] = {
    key: (snomed(code, display), says)
    for key, code, display, says in (
        ("appendectomy", "80146002", "Appendectomy", "appendectomy"),
        (
            "pci",
            "415070008",
            "Percutaneous coronary intervention",
            "percutaneous coronary intervention",
        ),
        ("chest_xray", "399208008", "Plain chest X-ray", "chest X-ray"),
        ("ecg", "29303009", "Electrocardiographic procedure", "electrocardiogram"),
        ("echocardiogram", "433236007", "Transthoracic echocardiography", "echocardiogram"),
        ("spirometry", "127783003", "Spirometry", "spirometry"),
        ("colonoscopy", "73761001", "Colonoscopy", "colonoscopy"),
        ("mammography", "71651007", "Mammography", "mammogram"),
        ("eye_exam", "308110009", "Direct fundoscopy following mydriatic", "dilated eye exam"),
        ("foot_exam", "401191002", "Diabetic foot examination", "diabetic foot exam"),
        ("bone_density", "312681000", "Bone density scan", "bone density scan"),
        ("fracture_care", "385691007", "Fracture care", "fracture immobilization"),
        ("hip_repair", "52734007", "Total replacement of hip", "total hip replacement"),
        ("vaginal_delivery", "48782003", "Delivery normal", "vaginal delivery"),
        ("cesarean", "11466000", "Cesarean section", "cesarean section"),
        ("breast_biopsy", "122548005", "Biopsy of breast", "breast biopsy"),
        ("lumpectomy", "392021009", "Lumpectomy of breast", "lumpectomy"),
        ("colon_resection", "43075005", "Partial resection of colon", "partial colectomy"),
        ("prostate_biopsy", "65575008", "Biopsy of prostate", "prostate biopsy"),
        ("prostatectomy", "90470006", "Prostatectomy", "prostatectomy"),
        (
            "obstetric_ultrasound",
            "169230002",
            "Ultrasound scan for fetal viability",
            "obstetric ultrasound",
        ),
        ("depression_screen", "171207006", "Depression screening", "depression screening"),
    )
}

# Those that only look: nobody says of an X-ray that it was well tolerated.
TESTS = frozenset(
    {
        "bone_density",
        "chest_xray",
        "depression_screen",
        "ecg",
        "echocardiogram",
        "eye_exam",
        "foot_exam",
        "mammography",
        "obstetric_ultrasound",
        "spirometry",
    }
)

VACCINES: dict[str, Json] = {
    key: concept(display, coding(CVX, code, display))
    for key, code, display in (
        ("hep_b", "08", "Hep B, adolescent or pediatric"),
        ("rotavirus", "119", "rotavirus, monovalent"),
        ("dtap", "20", "DTaP"),
        ("hib", "49", "Hib (PRP-OMP)"),
        ("pcv13", "133", "Pneumococcal conjugate PCV 13"),
        ("ipv", "10", "IPV"),
        ("mmr", "03", "MMR"),
        ("varicella", "21", "varicella"),
        ("hep_a", "83", "Hep A, ped/adol, 2 dose"),
        ("tdap", "115", "Tdap"),
        ("hpv", "165", "HPV9"),
        ("menacwy", "114", "meningococcal MCV4P"),
        ("influenza", "140", "Influenza, seasonal, injectable, preservative free"),
        ("td", "113", "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed"),
        ("zoster", "187", "zoster recombinant"),
        ("ppsv23", "33", "pneumococcal polysaccharide PPV23"),
    )
}

# Months of age at which each childhood vaccine is due.
CHILDHOOD_SCHEDULE: tuple[tuple[int, tuple[str, ...]], ...] = (
    (1, ("hep_b",)),
    (2, ("rotavirus", "dtap", "hib", "pcv13", "ipv")),
    (4, ("rotavirus", "dtap", "hib", "pcv13", "ipv")),
    (6, ("hep_b", "dtap", "pcv13", "ipv")),
    (12, ("mmr", "varicella", "hep_a", "hib", "pcv13")),
    (15, ("dtap",)),
    (18, ("hep_a",)),
    (48, ("dtap", "ipv", "mmr", "varicella")),
    (132, ("tdap", "hpv", "menacwy")),
    (138, ("hpv",)),
    (192, ("menacwy",)),
)
