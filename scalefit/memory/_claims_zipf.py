"""Claims of Cabannes et al. (2024, arXiv:2310.02984) about memories of facts under Zipf's law, checked by computing.

The theorem line and the stores are as two independent reviews and the authors' code have them; the constants are ours.
"""

from __future__ import annotations

import numpy as np

from scalefit.memory._claim import Claim, Found
from scalefit.memory.zipf import ZipfFacts, zipf_tail, zipf_unseen
from scalefit.memory.zipf_capacity import zipf_exponents
from scalefit.memory.zipf_stores import measure_store, predict_store

#: The set-up of the authors' code: n 1000, m 5, alpha 2.
_FACTS = ZipfFacts(1000, 2.0, n_values=5)
_WIDTHS = (35, 123, 350)
_MANY = 1_000_000


def _slope(errors: list[float]) -> float:
    return -float(np.polyfit(np.log(_WIDTHS), np.log(errors), 1)[0])


def _measured(store: str) -> list[float]:
    return [measure_store(_FACTS, width, store, draws=30, seed=width).error for width in _WIDTHS]


def tail() -> Found:
    facts = ZipfFacts(_MANY, 2.0)
    slope, exact = facts.slope("tail", 100, 1000), facts.tail(100)
    text = f"a = 2, {_MANY:,} keys: exponent {slope:.3f} from P = 100 to 1,000; mass {exact:.7f} at 100, "
    return Found(f"{text}constant {zipf_tail(100, 2.0):.7f}", abs(slope - 1) < 0.02)


def unseen() -> Found:
    slopes = {a: ZipfFacts(_MANY, a).slope("unseen", 1e3, 1e4) for a in (1.5, 2.0, 3.0)}
    text = ", ".join(f"{slope:.3f} at a = {a:g} (1 - 1/a = {1 - 1 / a:.3f})" for a, slope in slopes.items())
    ratio = ZipfFacts(_MANY, 2.0).unseen(1e4) / zipf_unseen(1e4, 2.0)
    near = all(abs(slope - 1 + 1 / a) < 0.02 for a, slope in slopes.items())
    return Found(f"exponents {text}; constant right to {abs(ratio - 1):.1%} at a = 2", near)


def finite_keys() -> Found:
    facts, rng = ZipfFacts(65_536, 1.2), np.random.default_rng(0)
    slope, exact = facts.slope("unseen", 4096, 2**20), facts.unseen(4096)
    counts = rng.multinomial(4096, facts.probabilities, size=30)
    left = (counts == 0) @ facts.probabilities
    text = f"a = 1.2, 65,536 keys, 4,096 to 2^20 draws: {slope:.3f} where 1 - 1/a = {1 - 1 / 1.2:.3f}; mass not seen "
    text += f"in 4,096 draws {exact:.4f}, in thirty samples {left.mean():.4f}"
    return Found(text, abs(slope - 1 + 1 / 1.2) < 0.05, abs(left.mean() - exact) < 5 * left.std() / np.sqrt(len(left)))


def thresholded() -> Found:
    errors = _measured("thresholded")
    slope, near = _slope(errors), _slope([float(_FACTS.guess * _FACTS.tail(width // 8)) for width in _WIDTHS])
    text = f"P = d/8, a = 2, d 35 to 350: exponent {slope:.2f}, of the exact mass {near:.2f}, limit 1"
    return Found(text, abs(slope - 1) < 0.15)


def weighted() -> Found:
    slope, near = _slope(_measured("weighted")), _slope(list(predict_store(_FACTS, _WIDTHS, "weighted")))
    limit = (_FACTS.exponent - 1) / (2 * _FACTS.exponent)
    text = f"a = 2, d 35 to 350: exponent {slope:.2f}, predicted at these sizes {near:.2f}, limit {limit:.2f}"
    return Found(text, abs(slope - limit) < 0.1)


def overflow() -> Found:
    errors = predict_store(_FACTS, [35, 123, 350], "all")
    text = ", ".join(f"{error:.2f}" for error in errors)
    return Found(f"predicted errors {text} at d 35, 123, 350, chance {_FACTS.guess:.2f}", bool(errors.min() > 0.3))


def minimax() -> Found:
    facts = ZipfFacts(512, 1.5, n_values=16)
    trained = measure_store(facts, 16, "trained", draws=1).error
    fixed = min(float(predict_store(facts, 16, capacity=c)) for c in (2, 4, 8, 16))
    text = f"a trained matrix is not of this kind: error {trained:.3f} at d = 16, the best threshold {fixed:.3f}"
    return Found(text, None)


def tie() -> Found:
    found = zipf_exponents(1.5, capacity="width")
    text = f"a = 1.5: {found.data:.4f} = {found.width:.2f} / (1 + {found.width:.2f}) for P ~ d; w / (m + w) for P ~ d^m"
    return Found(text, abs(found.data - found.width / (1 + found.width)) < 1e-12)


CLAIMS = (
    Claim("capacity term", "error ~ P^-(a-1)", "", tail, "sf.memory.zipf_tail"),
    Claim("data term", "error ~ T^-(1-1/a)", "", unseen, "sf.memory.zipf_unseen"),
    Claim(
        "data term, few keys",
        "error ~ T^-(1-1/a)",
        "the exact sum over the keys",
        finite_keys,
        "sf.memory.ZipfFacts.slope",
    ),
    Claim("store, thresholded", "error ~ d^-(a-1)", "", thresholded, "sf.memory.measure_store"),
    Claim("store, weighted", "error ~ d^-((a-1)/(2a))", "", weighted, "sf.memory.measure_store"),
    Claim("store, all", "no power law: the error stays high", "", overflow, "sf.memory.predict_store"),
    Claim("minimax", "no weights q(x) do better than a threshold", "", minimax, "sf.memory.measure_store"),
    Claim("tie", "data exponent = w / (1 + w) for an exponent w in d", "", tie, "sf.memory.zipf_exponents"),
    Claim(
        "transformers",
        "the same two terms",
        "",
        lambda: Found("decided by training: see the experiment", None),
        "scalefit experiment zipf_facts",
    ),
)
