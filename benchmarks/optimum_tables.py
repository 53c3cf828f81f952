"""Random tables for every law that can be fitted, for optimum.py: designs that people use, constants that make sense.

What a table looks like follows from what the law declares: its inputs with their typical values, its published
constants and the values it starts from, the scale of its target. A table is the same whenever law and seed are.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

import scalefit as sf

Values = dict[str, Any]
#: Most runs of a table; candidates for its constants; how far its values may lie from those of the reference.
MOST, CANDIDATES, SPREAD = 500, 300, (0.3, 3.0)
#: Logarithm of the largest noise, and of that of tables from this number on.
NOISIEST, NOISIER_FROM = (-2.0, -1.5), 100


def pairs(rng: np.random.Generator, n: int) -> tuple[str, np.ndarray, np.ndarray]:
    """About n pairs of parameters and tokens."""
    kind = ("isoFLOP", "grid", "ladder")[rng.integers(3)]
    low, decades = 10 ** rng.uniform(6.5, 8), rng.uniform(1.2, 3)
    if kind == "isoFLOP":
        budgets = int(min(rng.integers(3, 8), max(2, n // 3)))
        budget = np.repeat(10 ** np.linspace(17.5, 17.5 + 1.2 * decades, budgets), -(-n // budgets))[:n]
        N = np.sqrt(budget / 120) * 10 ** rng.uniform(-0.8, 0.8, n)
        return kind, N, budget / 6 / N
    if kind == "grid":
        side = max(3, int(np.sqrt(n)))
        sizes = np.geomspace(low, low * 10**decades, side)
        tokens = np.geomspace(20 * low, 20 * low * 10 ** rng.uniform(1.2, 3), max(3, -(-n // side)))
        N, D = (axis.ravel()[: max(n, 9)] for axis in np.meshgrid(sizes, tokens))
        return kind, N, D
    N = np.geomspace(low, low * 10**decades, n) * np.exp(0.1 * rng.standard_normal(n))
    return kind, N, N * 20 * 2 ** rng.uniform(-3, 5, n)


def between(declared: Any, share: np.ndarray, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Values of an input at shares (n,) of the part from `low` to `high` of what is typical."""
    first, last = float(declared.typical[0]), float(declared.typical[-1])
    share = low + (high - low) * share
    value = first * (last / first) ** share if first > 0 and last > 3 * first else first + (last - first) * share
    return np.round(value) if declared.integer else value


def inputs_of(law: Any, n: int, rng: np.random.Generator) -> tuple[str, Values]:
    """A design and its columns, of about n runs."""
    if law.shares:
        mixtures = rng.dirichlet(np.full(len(law.inputs), rng.choice([0.5, 1, 3])), n)
        return "mixtures", dict(zip(law.inputs, mixtures.T, strict=True))
    if len(law.inputs) == 1:
        (name,) = law.inputs
        share = np.linspace(0, 1, n) if rng.random() < 0.5 else rng.random(n)
        part = (0.0, 0.4), (0.6, 1.0)
        value = between(law.declarations[name], share, *(rng.uniform(*ends) for ends in part))
        if law.choices and rng.random() < 0.5:  # people also have one variable over few decades
            low, decades = {"N": 6.5, "D": 8, "C": 16}[name], rng.uniform(2, 6)
            value = 10 ** (low + decades * share)
        return "one variable", {name: value}
    columns: Values = {}
    if {"N", "D"} <= set(law.inputs):
        kind, columns["N"], columns["D"] = pairs(rng, n)
        n = columns["N"].size
    else:
        kind = ("grid", "scattered")[rng.integers(2)]
        # The axes of a grid have so many levels that about n runs are on it.
        levels = max(3, round(n ** (1 / len(law.inputs))))
        cell = np.arange(n)
    for place, (name, declared) in enumerate(law.declarations.items()):
        if name in columns:
            continue
        if isinstance(declared.optional, str):
            columns[name] = columns[declared.optional] / np.maximum(1, 10 ** rng.uniform(-0.5, 1.7, n))
        elif name == "N_active":
            columns[name] = columns["N"] * 10 ** rng.uniform(-1.5, 0, n)
        elif "N" in columns and "D" in columns:
            few = np.asarray(declared.typical, float)
            columns[name] = rng.choice(few, n) if rng.random() < 0.5 else between(declared, rng.random(n))
        elif kind == "scattered":
            columns[name] = between(declared, rng.random(n))
        else:
            columns[name] = between(declared, (cell // levels**place % levels) / (levels - 1))
    return kind, {name: columns[name] for name in law.inputs}


def unit_of(law: Any, columns: Values) -> dict[str, float]:
    """What inputs are measured in: their geometric means where the law knows how its constants change, else 1."""
    if law.rescale is None or law.rescales:
        return dict.fromkeys(columns, 1.0)
    unit = {name: float(np.exp(np.log(value).mean())) for name, value in columns.items()}
    return unit | {"unique_tokens": unit["D"]} if "unique_tokens" in unit else unit


def mid_table(law: Any, columns: Values, rng: np.random.Generator) -> Values | None:
    """Random constants of a law whose inputs are in units of their means: N = D = C = 1 is mid-table."""
    name = law.name.split(":")[0]
    E, a, b = rng.uniform(0.8, 2.2), rng.uniform(0.1, 1.5), rng.uniform(0.1, 1.5)
    alpha, beta = rng.uniform(0.15, 0.6, 2)
    if name == "chinchilla":
        return dict(E=E, A=a, alpha=alpha, B=b, beta=beta)
    if name == "over_training":
        return dict(E=E, A=a, B=b * np.sqrt(6) ** alpha, alpha=alpha)
    if name == "data_constrained":
        repeats = dict(R_D=10 ** rng.uniform(0.5, 1.8), R_N=10 ** rng.uniform(0.3, 1.3))
        return dict(E=E, A=a, alpha=alpha, B=b, beta=beta, **repeats)
    if name == "coupled":
        g = rng.uniform(0.25, 1.2)
        return dict(E=E, A=a ** (1 / g), alpha=alpha, B=b ** (1 / g), beta=beta, g=g)
    if name == "kaplan":
        top, other, ratio = rng.uniform(2, 3.5), rng.uniform(0.03, 1.0), rng.uniform(0.05, 0.25, 2)
        return dict(N_c=top ** (1 / ratio[0]), alpha_N=ratio[0], D_c=(top * other) ** (1 / ratio[1]), alpha_D=ratio[1])
    if name.startswith("zipf_memory"):
        return dict(E=E, A=a, B=b, a=rng.uniform(1.1, 2.5))
    if name == "power_law":
        return dict(E=E, A=a, alpha=alpha)
    if name != "broken_power_law":
        return None
    x = np.log(next(iter(columns.values())))
    c0, kind = rng.uniform(0.15, 0.45), rng.integers(3)
    c1 = (rng.uniform(0.1, 0.5), -c0 * rng.uniform(0.3, 0.8), -c0 * rng.uniform(1.2, 1.8))[kind]
    d1, f1 = np.exp(np.quantile(x, rng.uniform(0.2, 0.8))), rng.uniform(0.15, 1.0)
    return dict(E=E, A=a * np.exp(c1 * f1 * np.logaddexp(0, -np.log(d1) / f1)), c0=c0, c1=c1, d1=d1, f1=f1)


def middles(law: Any, columns: Values, values: Values) -> Values:
    """Median over the runs (m,) of what each linear parameter is multiplied by, at constants of shape (m, 1)."""
    linear = [name for name, p in law.parameters.items() if p.linear]
    found = {}
    for name in linear:
        basis = law.evaluate(columns, {**values, **{other: float(other == name) for other in linear}})
        found[name] = np.median(np.abs(np.atleast_2d(basis)), axis=1)
    return found


def near(law: Any, columns: Values, reference: Values, rng: np.random.Generator) -> Values:
    """Constants near the reference or anywhere between the law's starting values, whose targets look like its own.

    Coefficients go with their exponents: what a summand is mid-table moves by a factor of about two either way.
    """
    m = CANDIDATES
    far = rng.random() < 0.5
    drawn: Values = {}
    for name, p in law.parameters.items():
        z, value = rng.standard_normal(m), float(reference[name])
        low, high = (float(end(p.starts)) for end in (min, max))
        if far and not p.linear and (law.rescale is None or law.rescales):
            positive = p.log and low > 0
            drawn[name] = np.exp(rng.uniform(np.log(low), np.log(high), m)) if positive else rng.uniform(low, high, m)
        else:
            drawn[name] = value * np.exp(0.2 * z) if p.log else value * (1 + 0.15 * z)
    batch = {name: value[:, None] for name, value in drawn.items()}
    before = middles(law, columns, {name: np.array([[float(value)]]) for name, value in reference.items()})
    for name, basis in middles(law, columns, batch).items():
        factor = np.exp((0.7 if far else 0.3) * rng.standard_normal(m))
        batch[name] = (reference[name] * before[name] / np.maximum(basis, 1e-300) * factor)[:, None]
    inside = np.all([(batch[k] >= p.bounds[0]) & (batch[k] <= p.bounds[1]) for k, p in law.parameters.items()], axis=0)
    usual, link = law.evaluate(columns, reference), link_of(law)
    value = law.evaluate(columns, batch)
    good = law.target.admits(value).all(axis=1) & (inside[:, 0] if law.rescale is None else True)
    if law.target.admits(usual).all():
        middle, width = np.median(link(usual)), max(float(np.ptp(link(usual))), 1e-3)
        there = link(np.where(good[:, None], value, usual))
        good &= np.abs(np.median(there, axis=1) - middle) < width
        ratio = np.ptp(there, axis=1) / width
        good &= (ratio > SPREAD[0]) & (ratio < SPREAD[1])
    picked = np.flatnonzero(good)
    return {k: float(v[picked[0], 0]) for k, v in batch.items()} if picked.size else dict(reference)


def link_of(law: Any) -> Any:
    """What residuals of a law's target are differences of."""
    if law.target.scale == "log":
        return np.log
    return (lambda value: value) if law.target.scale == "linear" else (lambda value: np.log(value / (1 - value)))


def unlinked(law: Any, value: np.ndarray) -> np.ndarray:
    if law.target.scale == "log":
        return np.exp(value)
    return value if law.target.scale == "linear" else 1 / (1 + np.exp(-value))


def table_of(name: str, seed: int) -> tuple[str, Any, Values, Values]:
    """Design, law, the runs (inputs and target), and the constants they were drawn from, in units of `unit_of`."""
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    law = sf.laws.get(name)
    if law.choices:
        law = law.on(str(rng.choice(law.choices)))
    elif law.shares:
        law = law.over(int(rng.integers(3, 6)))
    least = max(8, 2 * len(law.parameters))
    kind, columns = inputs_of(law, int(np.exp(rng.uniform(np.log(least), np.log(MOST)))), rng)
    unit = unit_of(law, columns)
    scaled = {key: value / unit[key] for key, value in columns.items()}
    with np.errstate(all="ignore"):
        published = [dict(c.values) for c in law.published if set(c.values) == set(law.parameters)]
        own = mid_table(law, scaled, rng)
        if own is not None and (not published or law.choices or rng.random() < 0.5):
            truth = own
        else:
            reference = published[rng.integers(len(published))] if published else law.example()
            reference = law.rescale(reference, unit) if law.rescale is not None else reference
            truth = near(law, scaled, reference, rng)
        middle = link_of(law)(np.asarray(law.evaluate(scaled, truth), float))
    size = 10 ** rng.uniform(-3, NOISIEST[seed >= NOISIER_FROM])
    error = rng.standard_normal(middle.size) if rng.random() < 0.5 else rng.standard_t(4, middle.size) / 1.4
    if rng.random() < 0.2:
        error[rng.random(error.size) < 0.05] += 15
    # Noise of a share of the target: of its logarithm, or of the largest value on another scale.
    width = 1.0 if law.target.scale == "log" else float(np.abs(middle[np.isfinite(middle)]).max(initial=0))
    target = unlinked(law, middle + size * width * error)
    kept = law.target.admits(target)
    return kind, law, {key: value[kept] for key, value in {**columns, law.target.name: target}.items()}, truth
