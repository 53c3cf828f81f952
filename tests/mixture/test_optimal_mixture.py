"""The best mixture: against a grid and another optimiser, its bounds, intervals, refusals and the command line."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import scalefit as sf
from scalefit.cli import main
from scalefit.mixture.simplex import beyond_tried, interior, minimise, random_interior, snapped
from scalefit.mixture.weighted import WeightedLoss

DOMAINS = ("web", "code", "books")
PARAMS = {
    "loss_web": {"c": 2.0, "k": 0.8, "t_web": -3.0, "t_code": 0.3, "t_books": -0.5},
    "loss_code": {"c": 1.0, "k": 0.9, "t_web": 0.2, "t_code": -4.0, "t_books": 0.1},
    "loss_books": {"c": 2.5, "k": 0.7, "t_web": -0.6, "t_code": 0.2, "t_books": -2.5},
}
LAW = sf.laws.get("data_mixing").over(DOMAINS)


def optimal(fits, *args, **options):
    """Few draws: what is tested here is not how well they cover."""
    return sf.optimal_mixture(fits, *args, **{"n_draws": 30, **options})


def true_loss(shares, weights=(1 / 3, 1 / 3, 1 / 3)):
    """The weighted loss (m,) of mixtures (m, 3)."""
    columns = dict(zip(LAW.inputs, np.asarray(shares).T, strict=True))
    return sum(w * LAW.evaluate(columns, p) for w, p in zip(weights, PARAMS.values(), strict=True))


def runs(n=30, noise=0.0, seed=0, shares=None):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3), n) if shares is None else shares
    frame = pd.DataFrame(shares, columns=[f"share_{d}" for d in DOMAINS])
    columns = dict(zip(LAW.inputs, shares.T, strict=True))
    for name, params in PARAMS.items():
        frame[name] = LAW.evaluate(columns, params) * np.exp(noise * rng.standard_normal(len(shares)))
    return frame


@pytest.fixture(scope="module")
def exact():
    return sf.fit(runs(), "data_mixing", loss="loss_*")


@pytest.fixture(scope="module")
def noisy():
    return sf.fit(runs(noise=0.005), "data_mixing", loss="loss_*")


def grid(step=0.01):
    steps = np.arange(0, 1 + step / 2, step)
    return np.array([(a, b, 1 - a - b) for a, b in itertools.product(steps, steps) if a + b <= 1 + 1e-9])


def test_no_mixture_of_a_grid_is_better(exact):
    best = optimal(exact)
    assert best.trusted and best.shares.sum() == pytest.approx(1.0, abs=1e-12)
    assert best.loss == pytest.approx(float(true_loss(best.shares[None])[0]), rel=1e-6)
    assert best.loss <= true_loss(grid()).min() + 1e-9
    assert best.loss == pytest.approx(true_loss(grid()).min(), abs=2e-4)


def test_bounds_are_kept_and_decide(exact):
    free = optimal(exact)
    best = optimal(exact, bounds={"web": (0, 0.1), "r_code": (None, 0.4)})
    assert best.mixture["web"] == 0.1 and best.mixture["code"] <= 0.4 and best.loss > free.loss
    assert "at_bound" in {note.code for note in best.notes}
    allowed = [g for g in grid() if g[0] <= 0.1 + 1e-9 and g[1] <= 0.4 + 1e-9]
    assert best.loss == pytest.approx(true_loss(np.array(allowed)).min(), abs=2e-4)
    held = optimal(exact, bounds={"web": 0.5})
    assert held.mixture["web"] == 0.5
    only = optimal(exact, bounds={"web": (0.5, 1), "code": (0.5, 1)})
    assert only.mixture == {"web": 0.5, "code": 0.5, "books": 0.0}


def test_weights_choose_what_counts(exact):
    code = optimal(exact, weights={"loss_code": 1.0})
    assert code.mixture["code"] == 1.0
    two = optimal(exact, weights={"loss_code": 2.0, "loss_web": 2.0})
    one = optimal(exact, weights={"loss_code": 1.0, "loss_web": 1.0})
    assert two.loss == pytest.approx(2 * one.loss) and two.shares == pytest.approx(one.shares, abs=1e-3)


def test_a_negative_weight_makes_it_no_bowl_and_the_lowest_point_is_found_all_the_same(exact):
    weights = (1.0, -0.5, -0.4)
    best = optimal(exact, weights=dict(zip(PARAMS, weights, strict=True)))
    assert best.loss <= true_loss(grid(), weights).min() + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_minimiser_agrees_with_another_program(seed):
    rng = np.random.default_rng(seed)
    n, k = 7, 4
    law = sf.laws.get("data_mixing").over(n)
    params = [
        {"c": 1.0, "k": 1.0, **{f"t_{j + 1}": float(v) for j, v in enumerate(rng.normal(0, 2, n))}} for _ in range(k)
    ]
    goal = WeightedLoss([law] * k, params, np.full(k, 0.25), law.domains(), [{}] * k)
    upper = np.where(rng.random(n) < 0.3, 0.2, 1.0)
    lower = np.zeros(n)
    lower[0] = 0.05
    ends = minimise(goal.value, goal.derivatives, interior(lower, upper)[None], lower, upper, 0.1)
    ours = snapped(ends, lower, upper)[0]
    theirs = minimize(
        lambda r: goal.value(r[None])[0],
        interior(lower, upper),
        jac=lambda r: goal.derivatives(r[None])[1][0],
        bounds=list(zip(lower, upper, strict=True)),
        constraints={"type": "eq", "fun": lambda r: r.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert goal.value(ours[None])[0] == pytest.approx(theirs.fun, abs=1e-6)
    assert ours == pytest.approx(theirs.x, abs=2e-3)


def test_a_law_without_derivatives_in_the_shares_has_the_same_optimum(exact):
    laws = [result.law for result in exact.values()]
    params = [dict(result.params) for result in exact.values()]
    goal = WeightedLoss(laws, params, np.full(3, 1 / 3), DOMAINS, [{}] * 3)
    r = random_interior(np.zeros(3), np.ones(3), 5, np.random.default_rng(0))
    assert r.min() > 0 and r.sum(axis=1) == pytest.approx(1.0)
    by_law, by_steps = goal.derivatives(r), goal._numerically(0, r)
    own = LAW.in_shares(tuple(r.T), *(params[0][k] for k in ("c", "k")), tuple(params[0][f"t_{d}"] for d in DOMAINS))
    np.testing.assert_allclose(by_steps[1], np.stack(own[1], axis=1), rtol=1e-9)
    np.testing.assert_allclose(by_steps[2][:, 0, 1], own[2][0][1], rtol=1e-4, atol=1e-6)
    assert by_law[0] == pytest.approx(goal.value(r))


def test_progress_is_told_after_the_refits_of_each_loss(noisy):
    told = []
    optimal(noisy, n_draws=20, progress=lambda done, total: told.append((done, total)))
    assert told == [(20 * k, 20 * len(noisy)) for k in range(1, len(noisy) + 1)]


def test_intervals_hold_the_truth_and_the_table_says_what_it_should(noisy):
    best = optimal(noisy, seed=1)
    truth = optimal(sf.fit(runs(), "data_mixing", loss="loss_*")).mixture
    table = best.table
    assert list(table.columns) == "share lower upper within_lower within_upper tried_lower tried_upper".split()
    assert (table["lower"] <= table["share"] + 1e-9).all() and (table["share"] <= table["upper"] + 1e-9).all()
    assert all(table.loc[d, "lower"] - 0.02 <= share <= table.loc[d, "upper"] + 0.02 for d, share in truth.items())
    assert best.lower < best.loss < best.upper
    assert best.lower <= best.law_interval[0] and best.upper >= best.law_interval[1]
    narrow = optimal(noisy, level=0.5, seed=1).table
    assert (narrow["upper"] - narrow["lower"] <= table["upper"] - table["lower"] + 1e-12).all()
    assert best.table.equals(optimal(noisy, seed=1).table)


def test_mixtures_within_little_of_the_best_are_within_little(exact):
    best = optimal(exact, within=0.02)
    near = grid()[true_loss(grid()) <= best.loss + 0.02]
    for j, domain in enumerate(DOMAINS):
        row = best.table.loc[domain]
        assert row["within_lower"] == pytest.approx(near[:, j].min(), abs=0.02)
        assert row["within_upper"] == pytest.approx(near[:, j].max(), abs=0.02)


def test_gains_are_over_the_best_tried_and_a_baseline(exact, noisy):
    best = optimal(exact, baseline={"web": 0.9, "code": 0.05, "books": 0.05})
    gain = best.gains
    assert gain.loc["best tried", "gain"] == pytest.approx(true_loss(exact_shares(exact)).min() - best.loss, abs=1e-6)
    other = float(true_loss(np.array([[0.9, 0.05, 0.05]]))[0])
    assert gain.loc["the baseline", "gain"] == pytest.approx(other - best.loss, abs=1e-6)
    lucky = next(note for note in optimal(noisy).notes if note.code == "selection")
    assert "partly luck" in lucky.message


def exact_shares(fits):
    columns = fits["loss_web"].runs()
    return np.stack([columns[f"r_{d}"] for d in DOMAINS], axis=1)


def test_far_from_what_was_tried_is_not_trusted():
    rng = np.random.default_rng(0)
    shares = np.array([0.8, 0.1, 0.1]) + 0.05 * (rng.random((30, 3)) - 0.5)
    fits = sf.fit(runs(noise=0.0005, shares=shares / shares.sum(axis=1, keepdims=True)), "data_mixing", loss="loss_*")
    best = optimal(fits, weights={"loss_code": 1.0})
    note = next(note for note in best.notes if note.code == "extrapolation")
    assert note.severity == "error" and not best.trusted and "tried 0.0" in note.message
    assert beyond_tried(best.blend, exact_shares(fits)) < 1e-3 < best.beyond
    ranges = optimal(fits, weights={"loss_code": 1.0}, bounds="tried")
    assert all(
        low <= share <= high for low, share, high in zip(ranges.tried[0], ranges.shares, ranges.tried[1], strict=True)
    )
    inside = optimal(fits, weights={"loss_code": 1.0}, bounds={"web": (0.79, 0.81), "code": (0.09, 0.11)})
    assert inside.trusted


def test_shares_that_are_left_open_are_said_to_be():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(3), 40)
    twins = 2.0 + np.exp(-2 * (shares[:, 0] + shares[:, 1])) * np.exp(0.002 * rng.standard_normal(40))
    frame = pd.DataFrame(shares, columns=[f"share_{d}" for d in DOMAINS]).assign(loss=twins)
    best = optimal(sf.fit(frame, "data_mixing"))
    assert {"web", "code"} <= set(best.undetermined) and best.mixture["books"] == 0.0
    codes = {note.code for note in best.notes}
    assert {"undetermined", "flat"} <= codes


def test_one_fit_is_enough_and_predictors_of_other_laws_are_refused(exact):
    one = optimal(exact["loss_books"])
    assert one.mixture["books"] == 1.0 and one.names == ("loss",)
    N, D = (axis.ravel() for axis in np.meshgrid([1e8, 4e8, 1.6e9], [2e9, 1e10, 5e10]))
    other = sf.fit({"N": N, "D": D, "loss": sf.published("chinchilla", "hoffmann2022").predict(N=N, D=D)})
    for wrong, words in ((other, "reads no shares"), ({}, "holds no fits"), ("x", "holds no fits")):
        with pytest.raises(ValueError, match=words):
            optimal(wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": {"loss_x": 1}}, "Weights name loss_x"),
        ({"weights": {"loss_web": 0}}, "are all 0"),
        ({"bounds": {"maths": (0, 1)}}, "Bounds name 'maths'"),
        ({"bounds": {"web": (0.6, 0.2)}}, "the lower first"),
        ({"bounds": {"web": (0.6, 1), "code": (0.6, 1)}}, "lower bounds sum to 1.2"),
        ({"bounds": {"web": (0, 0.2), "code": (0, 0.2), "books": (0, 0.2)}}, "upper ones to 0.6"),
        ({"bounds": {"web": (0, 1, 2)}}, "is not .lower, upper"),
        ({"baseline": {"web": 0.5}}, "sum to 0.5"),
        ({"baseline": [0.5, 0.5]}, "not a mixture"),
        ({"at": {"N": 1e9}}, "nothing but the shares"),
        ({"within": 0}, "within=0"),
        ({"level": 2}, "level=2"),
        ({"n_draws": 3}, "n_draws=3"),
    ],
)
def test_what_makes_no_sense_is_refused(exact, options, words):
    with pytest.raises(ValueError, match=words):
        optimal(exact, **options)


def test_a_law_of_shares_and_size_is_asked_at_a_size():
    class Sized(sf.Law):
        """Shares and a size."""

        inputs = ("N", "r")
        formula = "L(N, r) = E + A N^-alpha + sum_j b_j (r_j - 1/3)^2"
        r = sf.Shares("shares", 3)
        E = sf.Parameter("floor", (0.0, 20.0), (0.5, 1.7, 3.0), log=True)
        A = sf.Parameter("coefficient", (0.0, 1e6), (10.0, 50.0, 400.0), log=True)
        alpha = sf.Parameter("size exponent", (0.0, 3.0), (0.2, 0.3, 0.4))
        b = sf.Parameter("effect", (0.0, 50.0), (0.1, 0.5, 1.0), each="r")

        @staticmethod
        def loss(N, r, E, A, alpha, b):
            return E + A * N**-alpha + sum(x * (y - 1 / 3) ** 2 for x, y in zip(b, r, strict=True))

    rng = np.random.default_rng(0)
    shares, N = rng.dirichlet(np.ones(3), 40), 10 ** rng.uniform(7, 9, 40)
    frame = pd.DataFrame(shares, columns=[f"share_{d}" for d in DOMAINS]).assign(N=N)
    frame["loss"] = Sized.loss(N, tuple(shares.T), 1.5, 60.0, 0.3, (1.0, 0.5, 0.8)) * np.exp(
        1e-4 * rng.standard_normal(40)
    )
    fits = sf.fit(frame, Sized)
    best = optimal(fits, at={"N": 1e9})
    assert best.shares == pytest.approx([1 / 3] * 3, abs=0.02)
    with pytest.raises(ValueError, match="N is missing"):
        optimal(fits)


@pytest.mark.filterwarnings("ignore:.*loss is missing")
def test_the_best_mixture_tried_is_named_by_its_row_where_losses_cover_different_runs():
    table = runs(24)
    table.loc[:5, "loss_code"] = np.nan
    fits = sf.fit(table, "data_mixing", loss=["loss_web", "loss_code"])
    best = optimal(fits)
    assert best.best_tried == (table["loss_web"] + table["loss_code"]).idxmin()


@pytest.mark.filterwarnings("ignore:.*loss is missing")
def test_losses_that_no_run_has_together_are_refused():
    table = runs(40)
    table.loc[:19, "loss_code"], table.loc[20:, "loss_web"] = np.nan, np.nan
    fits = sf.fit(table, "data_mixing", loss=["loss_web", "loss_code"])
    with pytest.raises(ValueError, match="No run has all of loss_web, loss_code"):
        optimal(fits)


def test_losses_are_named_in_their_own_unit():
    table = runs(24, noise=0.002).rename(columns={"loss_web": "bpb_web", "loss_code": "bpb_code"})
    fits = sf.fit(table, "data_mixing", loss=["bpb_web", "bpb_code"])
    best = optimal(fits)
    assert best.units == ("bit/byte",) and best.to_dict()["unit"] == "bit"
    drawn = [text.get_text() for text in best.plot().get_legend().get_texts()]
    assert "[bit]" in str(best) and " bit " in best.verdict and "within 0.01 bit" in drawn
    assert " nat" not in str(best)
    mixed = sf.fit(table, "data_mixing", loss=["bpb_web", "loss_books"])
    assert "several_units" in {note.code for note in optimal(mixed).notes}


def test_words_figure_and_json_agree(noisy, tmp_path):
    best = optimal(noisy)
    text = str(best)
    assert text.startswith("TRUST: yes\nBest mixture: ")
    assert best.verdict in " ".join(text.split())
    document = json.loads(best.to_json(tmp_path / "mixture.json"))
    assert document == json.loads((tmp_path / "mixture.json").read_text())
    assert document["loss"] == best.loss and document["trusted"] is best.trusted
    assert {row["domain"]: row["share"] for row in document["mixture"]} == pytest.approx(best.mixture)
    axes = best.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(best.table.index)


def run(capsys, *args):
    with pytest.raises(SystemExit) as stop:
        main([str(arg) for arg in args])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


def test_the_command_line_says_the_same(noisy, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    runs(noise=0.005).to_csv(path, index=False)
    options = ("--law", "data_mixing", "--loss", "loss_*", "--bound", "web=0:0.3", "--weight", "loss_web=1")
    code, out, _ = run(capsys, "mixture", path, *options, "--json", "--plot", tmp_path / "m.png")
    document = json.loads(out)
    best = optimal(noisy, weights={"loss_web": 1.0}, bounds={"web": (0, 0.3)})
    assert {row["domain"]: row["share"] for row in document["mixture"]} == pytest.approx(best.mixture, abs=1e-4)
    assert code == (0 if best.trusted else 3) and (tmp_path / "m.png").stat().st_size
    code, out, _ = run(capsys, "mixture", path, "--loss", "loss_web", "--loss", "loss_code", "--law", "data_mixing")
    assert out.startswith("TRUST: ") and "\nBest mixture: " in out
    code, _, err = run(capsys, "mixture", path, "--loss", "loss_web", "--law", "chinchilla")
    assert code == 1 and "reads no shares" in err and "data_mixing" in err
    code, _, err = run(capsys, "mixture", path, "--loss", "loss_x*")
    assert code == 1 and "No column 'loss_x*'" in err
    frame = runs()
    for domain in DOMAINS:
        frame[f"share_{domain}"] *= 100
    frame.to_csv(path, index=False)
    code, _, err = run(capsys, "mixture", path, "--loss", "loss_*")
    assert code == 1 and "percentages" in err and "Traceback" not in err


def test_notes_on_failed_refits_stand_among_those_of_their_severity(monkeypatch):
    """They are known last, and the most severe note still stands first."""
    from scalefit.fitting.collection import joint_draws

    def mostly_failed(fits, n, seed, progress):
        return {name: (x, len(x)) for name, (x, _) in joint_draws(fits, n, seed).items()}

    fits = sf.fit(runs(noise=0.003), "data_mixing", loss=list(PARAMS))
    monkeypatch.setattr("scalefit.mixture.optimal_mixture.joint_draws", mostly_failed)
    notes = optimal(fits).notes
    ranks = [("error", "warning", "info").index(note.severity) for note in notes]
    assert ranks == sorted(ranks) and ranks[-1] == 2 and "bootstrap_failures" in [note.code for note in notes]
