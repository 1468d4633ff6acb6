"""Every chronic disease module, by the diagnosis it plays."""

from __future__ import annotations

from service.synth.disease import cancer, circulation, common, diabetes, lungs, mind
from service.synth.disease.chronic import Chronic

CHRONIC_MODULES: dict[str, type[Chronic]] = {
    module.key: module
    for module in (
        diabetes.Diabetes,
        diabetes.Prediabetes,
        circulation.Hypertension,
        circulation.CoronaryDisease,
        circulation.Hyperlipidemia,
        circulation.HeartFailure,
        circulation.AtrialFibrillation,
        circulation.KidneyDisease,
        lungs.Asthma,
        lungs.Copd,
        mind.Depression,
        mind.Anxiety,
        mind.Migraine,
        common.Hypothyroidism,
        common.Reflux,
        common.Osteoarthritis,
        common.Osteoporosis,
        common.ProstaticHyperplasia,
        common.Rhinitis,
        common.SleepApnea,
        common.Obesity,
        common.IronDeficiency,
        cancer.BreastCancer,
        cancer.ColonCancer,
        cancer.ProstateCancer,
    )
}
"""In the order in which they take part in a visit; coronary disease before lipids, so that the
statin's strength suits it."""
