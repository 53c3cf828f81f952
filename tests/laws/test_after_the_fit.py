"""What every law goes through after its fit: intervals, plans, next runs, comparison, report, saving and loading."""

from __future__ import annotations

import ast
import inspect
import itertools
import warnings

import numpy as np
import pytest

import scalefit as sf
from scalefit.fitting.objectives import Objective

#: Laws whose constants have no optimum of a budget inside the search: predict, do not plan.
NO_OPTIMUM = {"farseer", "low_bit", "ptq", "qat"}
#: With this one it depends on the teacher and on the runs.
PERHAPS = {"distillation"}
#: Laws of mixtures have tables of shares, and tests of their own.
VARIANTS = [
    law.on(choice).name if choice else law.name
    for law in map(sf.laws.get, sf.laws.names())
    if not law.shares
    for choice in (law.choices or ("",))
]


def table(law, n=48, seed=0):
    """Scattered inputs, and the law's published or typical values there with noise on the scale of its target."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name, declared in law.declarations.items():
        low, high = float(declared.typical[0]), float(declared.typical[-1])
        u = rng.uniform(size=n)
        values = low * (high / low) ** u if low > 0 and not declared.zero else low + (high - low) * u
        columns[name] = np.round(values) if declared.integer else values
    for name, declared in law.declarations.items():
        if isinstance(declared.optional, str):
            columns[name] = columns[declared.optional] / rng.choice([1.0, 2.0, 4.0, 16.0], n)
    true = dict(law.published[0].values) if law.published and ":" not in law.name else law.example()
    if ":" in law.name:
        centre = float(np.exp(np.mean(np.log(columns[law.inputs[0]]))))
        true["A"] = centre ** true.get("alpha", true.get("c0"))
        true |= {"d1": centre} if "d1" in true else {}
        true |= {"d1": centre / 30, "d2": 30 * centre} if "d2" in true else {}
    value = np.asarray(law.evaluate(columns, true), float)
    keep = law.target.admits(value)
    scale = Objective(on=law.target.on)
    middle = scale.link(value[keep])
    spread = 1.0 if scale.log else float(np.std(middle))
    noisy = scale.unlink(middle + 0.005 * spread * rng.standard_normal(middle.size))
    kept = law.target.admits(noisy)
    return {**{k: v[keep][kept] for k, v in columns.items()}, law.target.name: noisy[kept]}


FITTED: dict = {}


def fitted(name):
    """A law, its table and its fit, made once."""
    if name not in FITTED:
        law = sf.laws.get(name)
        runs = table(law)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sf.ScalefitWarning)
            FITTED[name] = law, runs, sf.fit(runs, law).by_covariance()
    return FITTED[name]


def middle(law, runs):
    return {name: float(np.sort(runs[name])[len(runs[name]) // 2]) for name in law.inputs}


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        yield


@pytest.mark.parametrize("name", VARIANTS)
def test_intervals_hold_the_runs_and_stay_where_the_target_can_be(name):
    law, runs, result = fitted(name)
    frame = result.predict_interval(**{key: runs[key] for key in law.inputs})
    target = runs[law.target.name]
    assert (frame["lower"] <= frame["loss"]).all() and (frame["loss"] <= frame["upper"]).all()
    assert ((target >= frame["lower"]) & (target <= frame["upper"])).mean() > 0.8
    low, high = law.target.range
    assert frame["lower"].min() >= low and frame["upper"].max() <= high
    mean = result.predict_interval(kind="mean", **middle(law, runs))
    assert mean["lower"][0] <= mean["loss"][0] <= mean["upper"][0]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_fit_predicts_as_before(name):
    law, runs, result = fitted(name)
    again = sf.load_result(result.to_json())
    assert again.predict(**middle(law, runs)) == result.predict(**middle(law, runs))
    assert again.data_digest == result.data_digest


@pytest.mark.parametrize("name", VARIANTS)
def test_a_print_names_the_target_in_its_unit(name):
    law, _, result = fitted(name)
    text = str(result)
    assert (f"loss in {law.target.unit}" if law.target.is_loss else law.target.label()) in text
    assert law.target.is_loss or "nat/token ·" not in text


def held(law, runs):
    return {k: v for k, v in middle(law, runs).items() if k not in ("N", "D", "C", "unique_tokens")}


PLANNED = [name for name in VARIANTS if {"N", "D"} <= set(sf.laws.get(name).inputs)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANNED)
def test_a_law_of_size_and_data_is_planned_with(name):
    law, runs, result = fitted(name)
    at = held(law, runs)
    if law.target.sense == 0:
        with pytest.raises(sf.errors.ArgumentError, match="nothing to plan for"):
            sf.plan(result, C=1e21, at=at or None)
        return
    if name in NO_OPTIMUM:
        with pytest.raises(sf.errors.ArgumentError, match="edge of the search"):
            sf.plan(result, C=1e21, at=at or None)
        return
    try:
        plan = sf.plan(result, C=1e21, at=at or None)
    except sf.errors.ArgumentError as error:
        assert name in PERHAPS and "edge of the search" in str(error)
        return
    assert np.isfinite(plan.loss) and plan.N > 0 and plan.D > 0
    try:
        chosen = sf.next_runs(result.at(**at) if at else result, budget=1e20)
    except sf.errors.ArgumentError as error:
        assert "leaves no doubt" in str(error) or "edge of the search" in str(error)
    else:
        assert len(chosen) and (chosen["C"] > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_laws_of_any_target_are_compared_and_reported(name):
    law, runs, _ = fitted(name)
    found = sf.compare(runs, [law], holdout="3-fold")
    assert found["mae"].notna().all() and found["mean_relative_error"].iloc[0] < 1.0
    page = sf.report(runs, law=law)
    assert law.name in page.html


def test_laws_of_different_targets_do_not_compare():
    runs = table(sf.laws.get("chinchilla"))
    with pytest.raises(sf.errors.ArgumentError, match="these are not comparable"):
        sf.compare(runs, ["chinchilla", "step_law_lr"])


# -- targets other than losses ------------------------------------------------------------------------------------


class Share(sf.Law):
    """An accuracy that rises with compute, in log-odds."""

    inputs = ("C",)
    formula = "acc(C) = 1 / (1 + e^-(a + b ln C))"
    target = sf.Target("accuracy", sense=+1, range=(0.0, 1.0), scale="logit")
    direction = {"C": 1}
    a = sf.Parameter("log-odds at one FLOP", (-100.0, 100.0), (-30.0, -20.0, -10.0))
    b = sf.Parameter("slope", (0.0, 5.0), (0.2, 0.5, 1.0))

    @staticmethod
    def loss(C, a, b):
        return 1 / (1 + np.exp(-(a + b * np.log(C))))


class Difference(sf.Law):
    """A difference that may be of either sign."""

    inputs = ("D",)
    formula = "d(D) = a + b ln D"
    target = sf.Target("difference", range=(-100.0, 100.0), scale="linear")
    direction = {"D": 0}
    a = sf.Parameter("difference at one token", (-100.0, 100.0), (-10.0, 0.0, 10.0))
    b = sf.Parameter("slope", (-10.0, 10.0), (-1.0, 0.0, 1.0))

    @staticmethod
    def loss(D, a, b):
        return a + b * np.log(D)


def shares(n, seed, sd=0.15):
    C = np.geomspace(1e18, 1e24, n)
    noise = sd * np.random.default_rng(seed).standard_normal(n)
    return {"C": C, "accuracy": 1 / (1 + np.exp(-(-24.0 + 0.5 * np.log(C) + noise)))}


def differences(n, seed, sd=0.3):
    D = np.geomspace(1e8, 1e12, n)
    return {"D": D, "difference": 8.0 - 0.33 * np.log(D) + sd * np.random.default_rng(seed).standard_normal(n)}


@pytest.mark.parametrize(("law", "make"), [(Share, shares), (Difference, differences)])
def test_intervals_of_a_share_and_of_a_difference_cover(law, make):
    """Multiplied and divided by a factor, an interval of an accuracy of 0.99 went to 1.13, and one of 0 was nothing."""
    result, new = sf.fit(make(60, 0), law), make(400, 1)
    frame = result.predict_interval(level=0.9, **{law.inputs[0]: new[law.inputs[0]]})
    inside = (new[law.target.name] >= frame["lower"]) & (new[law.target.name] <= frame["upper"])
    assert 0.84 < inside.mean() < 0.97
    low, high = law.target.range
    assert frame["lower"].min() > low and frame["upper"].max() < high
    width = (frame["upper"] - frame["lower"]).to_numpy()
    if law is Share:  # in log-odds the width is one; in accuracy it is largest in the middle
        middle = int(np.argmin(np.abs(frame["loss"] - 0.5)))
        assert width[middle] > 3 * width[-1]
        assert frame["se_noise"][middle] == pytest.approx(0.25 * 0.15, rel=0.3)
    else:
        assert width.max() / width.min() < 1.2 and (frame["loss"] < 0).any()


def test_a_file_is_read_for_what_its_law_reads_and_gives(tmp_path):
    runs = differences(30, 2)
    path = tmp_path / "runs.csv"
    rows = itertools.chain(["tokens,difference"], (f"{a},{b}" for a, b in zip(*runs.values(), strict=True)))
    path.write_text("\n".join(rows))
    result = sf.fit(path, Difference)
    assert result.n_runs == 30 and (result.problem.loss < 0).any()
    assert sf.load_result(result.to_json(), Difference).predict(D=1e9) == result.predict(D=1e9)


# -- the shelf ---------------------------------------------------------------------------------------------------


def lines_of_code(law):
    """Lines of a law's class that are neither docstring nor published constants, nor BibTeX."""
    source = inspect.getsource(inspect.getmodule(law))
    tree = ast.parse(source)
    left_out = set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        named = isinstance(node, ast.Assign) and {getattr(target, "id", "") for target in node.targets}
        if text or (named and named & {"published", "bibtex"}):
            left_out |= set(range(node.lineno, node.end_lineno + 1))
    numbers = [i for i, line in enumerate(source.splitlines(), 1) if line.strip() and not line.strip().startswith("#")]
    return sum(i not in left_out for i in numbers)


@pytest.mark.parametrize("name", sf.laws.names())
def test_a_law_is_short(name):
    assert lines_of_code(sf.laws.get(name)) <= 60


def test_every_set_of_constants_says_where_from_and_how_checked(capsys):
    from scalefit.cli import main

    for name in sf.laws.names():
        law = sf.laws.get(name)
        if not law.published:
            continue
        with pytest.raises(SystemExit):
            main(["laws", name])
        out = capsys.readouterr().out
        assert out.count("  evidence: ") == out.count("  checked against its paper: ") == len(law.published), name


def test_constants_that_other_runs_determine_are_told_to_be_held():
    law, runs, result = fitted("distillation")
    words = [note.message for note in result.notes if note.code == "untrusted"]
    assert words and all("hold E, A, alpha, B, beta and gamma" in text and "coupled" in text for text in words)
    held = {name: law.published[0].values[name] for name in (*law.hold_first, "c1")}
    told = [note.message for note in sf.fit(runs, law, fixed=held).notes]
    assert not any("coupled" in text for text in told)
