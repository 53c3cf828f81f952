"""Second derivatives from a law's formula: against differences of its slopes, for every law and every function."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting import problem as problems
from scalefit.fitting.layout import Layout
from scalefit.fitting.objectives import Objective
from scalefit.fitting.traced import can_trace, trace


def typical(law, n=30):
    """Inputs (n,) drawn between typical ones, some of them zero where a law takes that."""
    rng, columns = np.random.default_rng(0), {}
    for name, declared in law.declarations.items():
        low, high = float(min(declared.typical)), float(max(declared.typical))
        columns[name] = np.exp(rng.uniform(np.log(low), np.log(high), n)) if low > 0 else rng.uniform(low, high, n)
        if low == 0:
            columns[name][:3] = 0.0
    return columns


def problem_of(law, objective, tied=None, fixed=None):
    """A law at typical inputs, with losses 5 % away from those of its example."""
    columns = typical(law)
    with np.errstate(all="ignore"):
        value = np.asarray(law.evaluate(columns, law.example()), float)
    ok = np.isfinite(value) & ((value > 0) | (objective.on == "loss"))
    columns, loss = {k: v[ok] for k, v in columns.items()}, value[ok]
    loss = loss * np.exp(0.05 * np.random.default_rng(1).standard_normal(loss.size))
    layout = Layout(law, dict(fixed or {}), dict(tied or {}), {}, 1, [], {})
    return layout.problem(columns, loss, objective, None, (np.arange(loss.size),), set())


def both_ways(problem, x, monkeypatch):
    """Gradient and Hessian at x (b, p) from the formula, and by differences of slopes."""
    found = []
    for way in (can_trace, lambda law: False):
        monkeypatch.setattr(problems, "can_trace", way)
        monkeypatch.setattr(problems, "_FEW", 0)
        with np.errstate(all="ignore"):
            found.append(problem.evaluate(x, None))
    return found


@pytest.mark.parametrize("name", sf.laws.names())
def test_second_derivatives_of_a_law_are_those_of_differences(name, monkeypatch):
    law = sf.laws.get(name)
    law = law.over(3) if law.shares else law
    assert can_trace(law)
    problem = problem_of(law, Objective("squared", on="log_loss" if law.target.scale == "log" else "loss"))
    x = problem.free_vector(law.rescale(law.example(), problem.units) if law.rescale else law.example())
    x = x + 0.01 * np.random.default_rng(2).standard_normal((3, x.size))
    exact, differences = both_ways(problem, x, monkeypatch)
    size = np.sqrt(np.einsum("bii->bi", exact[3]))
    size = np.maximum(size, 1e-6 * size.max())  # of a parameter that is idle here, slopes are rounding
    assert np.isfinite(exact[2]).all()
    np.testing.assert_allclose(exact[0], differences[0], rtol=1e-11)
    np.testing.assert_allclose(exact[1] / size, differences[1] / size, rtol=1e-8, atol=1e-10)
    scale = size[:, :, None] * size[:, None, :]
    np.testing.assert_allclose(exact[2] / scale, differences[2] / scale, rtol=1e-4, atol=2e-4)


class Everything(sf.Law):
    """All functions that have a rule, with parameters as bases, exponents, numerators and denominators."""

    name, inputs, formula, direction = "everything", ("t",), "many functions of t", {"t": 0}
    t = sf.Input("input", typical=(0.5, 1.0, 2.0, 3.0))
    p = sf.Parameter("first", (0.1, 10.0), (1.1, 1.5), log=True)
    q = sf.Parameter("second", (-3.0, 3.0), (0.4, 0.8))
    s = sf.Parameter("third", (-3.0, 3.0), (0.3, 0.9))

    @staticmethod
    def loss(t, p, q, s):
        z = q * t - s
        chosen = np.where(z > 0, z, 0.0) + np.where(z > 0.2, p, q * s) + np.where(z > 0, 1.0, p)
        edge = np.maximum(z, 0.1) * np.minimum(p, t) + np.maximum(0.2, s * t) + np.minimum(q, 0.6)
        powers = p**q + t**-q + (p * t) ** 2.5 + p**-1 + 2.0**q + np.power(p, s) + (0.0 * t) ** p
        plain = np.sqrt(p) + np.tanh(z) + np.exp2(q) + np.expm1(s * t) + np.log1p(p) + np.square(z) + np.reciprocal(p)
        logs = np.log(p + t) + np.log10(p * t) + np.log2(p) * s + p / (t + p) + t / p - (-z) + (+q) + z * z + p / t
        return 5.0 + chosen + edge + powers + plain + logs + np.real(z) * 0.0


@pytest.mark.parametrize(
    "objective",
    [Objective("squared"), Objective("huber", on="loss"), Objective("squared", on="logit"), Objective("huber", 0.1)],
)
@pytest.mark.parametrize("held", [{}, {"tied": {"s": "q"}}, {"fixed": {"q": 0.7}}])
def test_every_function_has_its_second_derivative(objective, held, monkeypatch):
    assert can_trace(Everything)
    law = Everything
    if objective.on == "logit":
        loss = staticmethod(lambda t, p, q, s: 1 / (1 + np.exp(2 - 0.05 * Everything.loss(t, p, q, s))))
        law = type("Share", (Everything,), {"loss": loss})
    problem = problem_of(law, replace(objective, sides=(2.0, 1.0)), **held)
    x = np.random.default_rng(2).uniform(0.3, 0.9, (4, problem.n_free))
    exact, differences = both_ways(problem, x, monkeypatch)
    for ours, theirs in zip(exact, differences, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("spoilt", [lambda z: z.sum(), np.asarray, np.sum, np.sinh, float, lambda z: 1.0])
def test_a_law_of_other_functions_is_not_traced(spoilt):
    """It keeps the complex step; nothing is guessed."""

    class Other(Everything):
        name = "other"
        loss = staticmethod(lambda t, p, q, s: t + spoilt(p))

    assert not can_trace(Other)


def test_nothing_is_kept_of_an_evaluation():
    """A tape and what is on it hold each other: half a gigabyte at 250,000 runs, until Python looked for such rings."""
    law = Everything
    found = trace(law, {"t": np.ones(5)}, np.ones((1, 3)), [True, False, False], {"p": 0, "q": 1, "s": 2})
    assert len(found.root.tape) > 50
    found.bent(np.ones((1, 5)))
    assert not found.root.tape
