"""Claims of Niu et al. (2024) about Z and the loss: eqs. 1, 2, 11 to 14, Prop. 4, table 2, figures, remarks."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from scalefit.counting import count_parameters
from scalefit.errors import ScalefitWarning
from scalefit.memory._claim import Claim, Found
from scalefit.memory.evidence import check_floor, sample_entropy
from scalefit.memory.floor import loss_floor
from scalefit.memory.layered import layered_loss
from scalefit.memory.partition import log_ball_integral, log_ball_volume, log_partition, loss, partition_bounds
from scalefit.memory.radius import volume_radius

_SMALL: dict[str, Any] = dict(N=124e6, n_layers=12, d_emb=768, T_max=1024)


def _floor(**plan: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ScalefitWarning)  # N and shape of the paper's runs are as it gives them
        return loss_floor(**plan)


def eq_1() -> Found:
    N_c, a_n, D_c, a_d = 6.4e13, 0.076, 1.8e13, 0.103  # Kaplan et al. 2020, table 2
    value = ((N_c / 1.5e9) ** (a_n / a_d) + D_c / 2.2e10) ** a_d
    return Found(f"with Kaplan's constants {value:.3f} at N 1.5e9, D 2.2e10, where table 2 has 2.5", None)


def eq_2() -> Found:
    at = [E + 406.4 / 70e9**0.34 + 410.7 / 1.4e12**0.28 for E in (1.61, 1.69)]
    text = f"Chinchilla, 70e9 and 1.4e12: {at[0]:.3f} with 1.61, {at[1]:.3f} with 1.69; Hoffmann et al. print 1.69"
    return Found(text, False, True)


def eq_11() -> Found:
    return Found("a definition: the data are equally likely points", None)


def eq_12() -> Found:
    n, r, size = 10, 2.0, 200_000
    rng = np.random.default_rng(12)
    x = rng.normal(size=(size, n))
    x *= (r * rng.uniform(size=size) ** (1 / n) / np.linalg.norm(x, axis=1))[:, None]
    weight = np.exp(float(log_ball_volume(n, r)) - (x**2).sum(axis=1))
    mean, error = float(weight.mean()), float(weight.std()) / math.sqrt(size)
    exact, printed = (math.exp(float(log_ball_integral(n, r, c))) for c in ("exact", "paper"))
    text = f"n = 10, r = 2: Monte Carlo {mean:.1f} +- {error:.1f}; printed {printed:.1f}; corrected {exact:.2f}"
    return Found(text, abs(printed - mean) < 5 * error, abs(exact - mean) < 5 * error)


def eq_13() -> Found:
    n, r = 10, 2.0
    z = math.exp(float(log_ball_integral(n, r)))
    lower = [math.exp(float(partition_bounds(n, r, convention=c).lower)) for c in ("paper", "exact")]
    text = f"n = 10, r = 2: Z = {z:.1f}; lower bound {lower[0]:.1f} as printed, {lower[1]:.1f} with e^(-r^2)"
    return Found(text, lower[0] <= z, lower[1] <= z)


def eq_14() -> Found:
    layers, d, r = 4, 8, 0.3
    true = layered_loss(n_layers=layers, n_patterns=d, radius=r, energy="distance")
    log_z = float(log_partition(1, r, d / layers))
    printed = float(loss(log_z)) + math.log(layers)
    split = log_z + math.log(layers)
    text = f"distances, l = 4: L = {true:.4f} by quadrature, log Z_t + log l = {split:.4f}, with 1/Z {printed:.4f}"
    return Found(text, abs(true - printed) < 1e-3, abs(true - split) < 1e-3)


def prop_4() -> Found:
    true = layered_loss(n_layers=2, n_patterns=4, radius=0.05)
    printed = float(loss(log_partition(1, 0.05, 2)))
    text = f"densities, l = 2, d = 4, r = .05: L = {true:.3f} by quadrature; printed at least {printed:.3f}"
    return Found(text, true > 1.0)


def least_loss() -> Found:
    log_z = np.linspace(-3.0, 9.0, 12_001)
    values = np.asarray(loss(log_z))
    at = float(log_z[values.argmin()])
    return Found(f"least log Z + 1/Z is {values.min():.6f}, at log Z = {at:.3f}", abs(values.min() - 1) < 1e-6)


def lemma_5() -> Found:
    from scipy.special import gammainc, gammaln

    n, r = (axis.ravel() for axis in np.meshgrid(np.arange(1, 80), np.geomspace(1e-2, 30, 60)))
    log_gamma = np.log(gammainc(n, r)) + gammaln(n)
    top = n * np.log(r) - np.log(n)
    keep = np.isfinite(log_gamma)
    room = min(float((top - log_gamma)[keep].min()), float((log_gamma - top + r)[keep].min()))
    return Found(f"least room {room:.2g} in the logarithm over {int(keep.sum())} pairs of n and r", room > -1e-9)


def volume() -> Found:
    n = 786_432
    value = float(log_ball_volume(n, volume_radius(n)))
    return Found(
        f"n = {n}: log V = {value:.6f}; -log(n pi)/2 = {-0.5 * math.log(n * math.pi):.6f}",
        bool(abs(value + 0.5 * math.log(n * math.pi)) < 1e-5),
    )


def volume_decides() -> Found:
    floor = _floor(**_SMALL, D=9e9)
    text = f"GPT-2 small on 9e9 tokens: log Z = {floor.log_z:.0f} by eq. 12, {floor.log_z_upper:.2f} at its upper bound"
    return Found(text, abs(floor.log_z - floor.log_z_upper) < 1.0)


def balance() -> Found:
    slopes = {}
    for convention in ("paper", "exact"):
        sizes = [_floor(**_SMALL, D=D, convention=convention).balanced_params for D in (9e9, 9e10)]
        slopes[convention] = math.log10(sizes[1] / sizes[0])
    width = 9e9**2 / (math.pi * 1024**3)
    text = f"N* ~ D^{slopes['paper']:.2f} at width 768, where balance at D 9e9 wants a width of {width:.2g}; "
    text += f"D^{slopes['exact']:.2f} where it grows to that"
    return Found(text, abs(width / 768 - 1) < 0.01, abs(slopes["exact"] - 4) < 1e-6)


def table_2() -> Found:
    from scalefit.datasets import load_dataset

    found = check_floor(load_dataset("niu2024_table2"))
    bytes_ = 0.99 * math.log(2)
    text = f"{found.attrs['n_below']} of {found.attrs['n_runs']} below 1; Transformer-XL on enwik8: {bytes_:.3f} a byte"
    return Found(text, found.attrs["n_below"] == 0)


def figure_2() -> Found:
    n, distance = 1024, 20.0
    theory = 2 * float(volume_radius(n))
    floor = _floor(N=355e6, D=9e9, n_layers=24, d_emb=n, T_max=1024, radius=distance / 2, dimension="token")
    text = f"2 sqrt(n / 2 pi e) = {theory:.1f}; with r = 10 eq. 12's bounds give {floor.loss_lower:.1f} to "
    return Found(f"{text}{floor.loss_upper:.1f} nat/token", abs(distance / theory - 1) < 0.1)


def figure_3() -> Found:
    regimes = {
        patterns: [_floor(**_SMALL, D=D, patterns=patterns) for D in (9e9, 9e7, 9e6)]
        for patterns in ("replicated", "split")
    }
    text = "; ".join(
        f"{patterns}: Z {', '.join(f'{math.exp(run.log_z_upper):.3g}' for run in runs)}"
        for patterns, runs in regimes.items()
    )
    fits = [runs[0].regime == "over_filled" and runs[2].regime == "under_filled" for runs in regimes.values()]
    return Found(f"9e9, 9e7, 9e6 tokens, {text}: the reading decides", None if fits[0] != fits[1] else fits[0])


def figure_4() -> Found:
    floor = _floor(N=19e6, D=2e6, n_layers=6, d_emb=512, T_max=5000)
    text = (
        f"{floor.regime}, at the upper Z {floor.loss_at_z_upper:.3g}; the grammar's own entropy is 20.308 / 19.578 = "
    )
    return Found(f"{text}{20.308 / 19.578:.3f} nat a word, so 1 is not evidence", None)


def remark_1() -> Found:
    return Found(f"200 lines learnt by heart: {sample_entropy(200, 21.15):.4f} nat/token, below 1", None)


def remark_2() -> Found:
    rng = np.random.default_rng(2)
    p, q = rng.dirichlet(np.ones(7), size=2)
    cross, kl, own = (-float(p @ np.log(v)) for v in (q, q / p, p))
    text = f"cross-entropy {cross:.6f} = {kl:.6f} + {own:.6f}; least where the model is the sample"
    return Found(text, abs(cross - kl - own) < 1e-12 and kl > 0)


def remark_3() -> Found:
    return Found(f"a z-loss of 1e-4 log^2 Z adds {1e-4 * 8.63**2:.4f} nat at log Z 8.63; no table here holds one", None)


def appendix_d() -> Found:
    counts = count_parameters(24, 1024, d_ff=3072, convention="paper")
    total = sum(counts.per_layer_width2.values())
    return Found(
        f"its own three groups of GPT-2 medium give A = {total:.2f}", abs(total - 15) < 0.5, abs(total - 10) < 0.1
    )


CLAIMS = (
    Claim("eq. 1", "Kaplan's law", "", eq_1, 'sf.published("kaplan", "kaplan2020")'),
    Claim("eq. 2", "E = 1.61 in Chinchilla's law", "E = 1.69", eq_2, 'sf.published("chinchilla", "hoffmann2022")'),
    Claim("eq. 11", "the test data are equally likely patterns", "", eq_11, "-"),
    Claim(
        "eq. 12",
        "Z = 2 d pi^(n/2) gamma(n, r) / Gamma(n/2)",
        "d pi^(n/2) P(n/2, r^2)",
        eq_12,
        "sf.memory.log_ball_integral",
    ),
    Claim("eq. 13", "e^(-r) d V <= Z <= d V", "e^(-r^2) d V <= Z <= d V", eq_13, "sf.memory.partition_bounds"),
    Claim(
        "eq. 14",
        "L = log Z_t + 1/Z_t + log l - c",
        "with distances log Z_t + log l, without 1/Z",
        eq_14,
        "sf.memory.layered_loss",
    ),
    Claim("prop. 4", "L > 1", "", prop_4, "sf.memory.layered_loss"),
    Claim("prop. 4, the expression", "log Z + 1/Z >= 1, least at Z = 1", "", least_loss, "sf.memory.loss"),
    Claim("lemma 5", "e^(-r) r^n / n <= gamma(n, r) <= r^n / n", "", lemma_5, "sf.memory.claims"),
    Claim("section 5, volume", "V = 1/sqrt(n pi) at r = sqrt(n / 2 pi e)", "", volume, "sf.memory.log_ball_volume"),
    Claim("section 5, size of Z", "Z is near its upper bound d V", "", volume_decides, "sf.loss_floor"),
    Claim("section 5, balance", "N = O(D^2)", "D^4 where the width grows with n", balance, "sf.loss_floor"),
    Claim("table 2", "every reported loss is above 1", "", table_2, "sf.memory.check_floor"),
    Claim(
        "figure 2",
        "distances of 20 are about 2 sqrt(n / 2 pi e)",
        "",
        figure_2,
        "scalefit experiment figure2",
    ),
    Claim("figure 3", "only the smallest data set over-fits", "", figure_3, "scalefit experiment figure3"),
    Claim("figure 4", "training settles at 1, as Prop. 4 says", "", figure_4, "scalefit experiment figure4"),
    Claim("remark 1", "an over-parameterised model is exempt", "", remark_1, "scalefit experiment memoriser"),
    Claim("remark 2", "H(p, q) = KL + H(p); its least is H(p)", "", remark_2, "sf.memory.sample_entropy"),
    Claim("remark 3", "auxiliary losses move the bound", "", remark_3, "-"),
    Claim(
        "appendix D",
        "A is about 15 for GPT-2 medium",
        "10.0 from its own groups",
        appendix_d,
        "sf.counting.count_parameters",
    ),
)
