"""A table of values that published constants give, kept outside the project: each of its rows, or why there is none.

It needs SCALEFIT_DATA_DIR (law_tables/golden.csv). A value that a law's own file can hold stands there as `golden`.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import scalefit as sf
from scalefit.corpora.exponent_result import data_exponent

PF_DAY = 8.64e19
SEQUENCE = 512

#: Names of the table's laws and keys, and letters of its inputs, where they are not the project's.
LAWS = {
    "float": "float_precision",
    "deepseek_alloc": "deepseek_allocation",
    "ling_alloc": "deepseek_allocation",
    "vit": "shifted_power_law",
    "muon": "power_law:C",
    "adamw": "power_law:C",
    "deployment": "chinchilla",
}
SETS = {
    ("kaplan_steps", "kaplan2020_t3"): ("kaplan_steps", "kaplan2020"),
    ("vit", "zhai2021"): ("shifted_power_law", "zhai2021_finetune"),
    ("muon", "liu2025"): ("power_law:C", "moonlight2025_muon"),
    ("adamw", "liu2025"): ("power_law:C", "moonlight2025_adamw"),
    ("diloco", "charles2025_batch"): ("diloco_batch", "charles2025"),
    ("critical_batch", "zhang2024"): ("critical_batch_by_size", "zhang2024"),
    ("distillation", "busbridge2025_supervised"): ("coupled", "busbridge2025_supervised"),
}
INPUTS = {
    "critical_batch": {"L": "val_loss"},
    "routed": {"E": "n_experts"},
    "joint_moe": {"E": "n_experts", "N_active": "N"},
    "fine_grained_moe": {"G": "granularity"},
    "sparsity_moe": {"S": "sparsity"},
    "sparse": {"S": "sparsity"},
    "parscale": {"P": "streams"},
    "prescriptive": {"U": "unique_tokens"},
    "practical": {"U": "unique_tokens"},
    "distillation": {"L_T": "teacher_loss"},
    "low_bit": {"P": "post_bits"},
    "diloco": {"M": "replicas"},
    "diloco_batch": {"M": "replicas"},
    "power_lines": {"TPP": "tokens_per_param"},
    "transfer": {"D_F": "finetune_characters"},
    "rl_sigmoid": {"C": "gpu_hours", "R0": None},
    "efficiency_leverage": {"A": "active_share", "G": "granularity"},
    "cmr": {"T": "tokens_in_200M"},
    "comprehensive_moe": {"G": "active_experts", "S": "shared_share"},
    "float_precision": {"E": "exponent_bits", "M": "mantissa_bits", "B": "block"},
    "kaplan_steps": {"S": "steps"},
    "vocabulary": {"N_nv": "N_nonvocab", "N_v": "N_vocab"},
    "shifted_power_law": {"C": "core_days"},
    "power_law:C": {"C_min": "C"},
}
#: What the table counts in others than the inputs' own units.
UNITS = {
    ("power_law:C", "C"): PF_DAY,
    ("vocabulary", "N_nonvocab"): 1e6,
    ("vocabulary", "N_vocab"): 1e6,
    ("vocabulary", "D"): 1e9,
}
NOT_SHIPPED = {
    ("critical_batch", "zhang2024_D"): "its coefficient was not read in the paper",
    ("power_lines", "bergsma2025_Bopt"): "its coefficient was not read in the paper",
    ("power_lines", "bergsma2025_Bcrit"): "its coefficient was not read in the paper",
}


def rows():
    path = Path(os.environ.get("SCALEFIT_DATA_DIR", "")) / "law_tables" / "golden.csv"
    if not os.environ.get("SCALEFIT_DATA_DIR") or not path.exists():
        return [pytest.param(None, marks=pytest.mark.skip(reason="needs SCALEFIT_DATA_DIR (law_tables/golden.csv)"))]
    with path.open(encoding="utf-8") as file:
        return [pytest.param(row, id=f"{row['law']}-{row['key']}-{row['inputs']}") for row in csv.DictReader(file)]


def numbers(text, law):
    """Inputs by the project's names, in its units; what a remark in brackets says is in UNITS."""
    found = {}
    for part in text.split(";"):
        name, value = part.split("=")
        name = INPUTS.get(law, {}).get(name.strip(), name.strip())
        if name is not None:
            found[name] = float(value.split()[0]) * UNITS.get((law, name), 1.0)
    return found


def optimum(model, text):
    """A size at a budget, at a number of experts or none."""
    which, budget, experts = re.fullmatch(r"optimum (N|N_active) at (?:C=)?([\d.e+]+)(?:;E=(\d+))?", text).groups()
    assert which in ("N", "N_active")
    return sf.plan(model, C=float(budget), at={"n_experts": int(experts)} if experts else None).N


def served(model, text):
    """The size of the cheapest model as good as a compute-optimal one, when so many tokens are served."""
    size, tokens = re.fullmatch(r"([\d.]+)B quality;([\d.e]+) served", text).groups()
    as_good = sf.plan(model, N=float(size) * 1e9)
    return sf.plan(model, loss=as_good.loss, inference_tokens=float(tokens)).N


def worst_tokens(model, text):
    """Tokens past which more of them hurt."""
    given = numbers(text, "float_precision")
    found = minimize_scalar(
        lambda x: model.predict(D=np.exp(x), **given), bracket=(np.log(1e9), np.log(1e14)), tol=1e-9
    )
    return float(np.exp(found.x))


def given_by(row):
    """What the project gives for a row, through its public calls."""
    pair = (row["law"], row["key"])
    law, key = SETS.get(pair, (LAWS.get(row["law"], row["law"]), row["key"]))
    if row["law"] == "step_law":
        law = "step_law_batch" if "batch" in row["what"] else "step_law_lr"
    if row["law"] == "statistics":
        return data_exponent(**numbers(row["inputs"], law))[0]
    if row["law"] == "bon_kl":  # the docstring of reward_overoptimisation
        n = numbers(row["inputs"], law)["n"]
        return np.log(n) - (n - 1) / n
    if row["law"] == "progress":  # the docstring of the law
        a, b = 0.003938 / 0.067982, 0.035620 / 0.039587
        N, D, year = 1e9, 2e10, 12 * np.log(2) / (a + b) / 12
        form = {"E": 1.7, "A": 400.0, "alpha": 0.3, "B": 400.0, "beta": 0.3, "a": a, "b": b}
        halved = np.exp(-a * year), np.exp(-b * year)
        assert halved[0] * halved[1] == pytest.approx(0.5)
        progress = sf.laws.get("progress").loss
        assert progress(N * halved[0], D * halved[1], year, **form) == pytest.approx(progress(N, D, 0.0, **form))
        return 12 * year
    model = sf.published(law, key)
    if row["law"] == "deployment":
        return served(model, row["inputs"])
    if row["inputs"].startswith("optimum"):
        return optimum(model, row["inputs"])
    if "D_crit" in row["what"]:
        return worst_tokens(model, row["inputs"])
    if row["inputs"] == "G*":
        held = {"N_active": 3e9, "shared_share": 0.125}
        return sf.plan(model, C=1e22, at=held, choose={"active_experts": (1, 64)}).at["active_experts"]
    if row["inputs"].startswith("dense size"):
        loss = model.predict(N=1e9, D=1e11, sparsity=0.75)
        return sf.plan(model, loss=loss, fixed={"D": 1e11}, at={"sparsity": 0}).N / 1e9
    value = model.predict(**numbers(row["inputs"], law))
    return value / SEQUENCE if row["what"] == "sequences of 512" else value


@pytest.mark.parametrize("row", rows())
def test_every_row_comes_back_to_its_digits(row):
    pair = (row["law"], row["key"])
    if pair in NOT_SHIPPED:
        assert "coefficient M" in row["what"]
        law = LAWS.get(row["law"], row["law"])
        assert row["key"] not in [constants.key for constants in sf.laws.get(law).published], NOT_SHIPPED[pair]
        return
    searched = any(words in row["inputs"] for words in ("optimum", "G*", "served", "dense")) or "D_crit" in row["what"]
    rounded = row["key"].startswith("ours")  # the table's values are of more digits than the constants have
    assert given_by(row) == pytest.approx(float(row["value"]), rel=1e-5 if searched or rounded else 2e-7)
