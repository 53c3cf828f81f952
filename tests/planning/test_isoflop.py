"""IsoFLOP and envelope: published exponents, noise-free truth, refusals by name, and approaches side by side."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import grid

import scalefit as sf
from scalefit.optima.power_law_fit import fit_power_law
from scalefit.planning.approaches import agreement

TRUE = 0.36585 / (0.34781 + 0.36585)
COLUMNS = ["N", "D", "C", "loss"]


def rows_of(porian, hparams, warmup, decay, count):
    keep = (porian.hparams == hparams) & (porian.warmup == warmup) & (porian.decay == decay)
    return porian[keep & (porian.param_count == count)][COLUMNS]


# Exponents of Porian et al. (2024), arXiv:2406.19146, from the authors' summaries ("bs_median_weighted").
@pytest.mark.parametrize(
    ("choice", "published", "within"),
    [
        (("tuned", "short", "const", "standard"), 0.4969, 0.015),
        (("base", "long", "kaplan", "kaplan"), 0.8353, 0.02),
        (("base", "long", "kaplan", "standard"), 0.7065, 0.015),
        (("base", "short", "kaplan", "standard"), 0.6020, 0.015),
        (("base", "short", "chinchilla", "standard"), 0.5715, 0.015),
        (("tuned", "short", "const", "attention"), 0.5053, 0.015),
    ],
)
def test_local_finds_the_published_exponents(porian, choice, published, within):
    optima = sf.isoflop(rows_of(porian, *choice), method="local")
    assert optima.exponent_N == pytest.approx(published, abs=within)
    low, high = optima.interval(0.95).loc["exponent_N"]
    assert low < published < high and high - low < 0.1


def test_counting_alone_moves_the_exponent(porian):
    """The same runs under Kaplan's count and under the standard one: 0.84 and 0.71."""
    kaplan = sf.isoflop(rows_of(porian, "base", "long", "kaplan", "kaplan"), method="local")
    standard = sf.isoflop(rows_of(porian, "base", "long", "kaplan", "standard"), method="local")
    assert kaplan.exponent_N - standard.exponent_N > 0.1
    assert kaplan.interval(0.95).loc["exponent_N", "lower"] > standard.interval(0.95).loc["exponent_N", "upper"]


def test_nanochat_optima():
    """The table of optima in nanochat's log (January 2026), from budgets to exponents: 0.54 and 0.49."""
    C = np.array([1e18, 2e18, 5e18, 1e19])
    N = np.array([110_678_115, 167.8e6, 250.7e6, 381.8e6])
    D = np.array([1_241_505_403, 1.785e9, 2.642e9, 3.807e9])
    assert fit_power_law(C, N, np.zeros(4)).exponent == pytest.approx(0.53, abs=0.015)
    assert fit_power_law(C, D, np.zeros(4)).exponent == pytest.approx(0.485, abs=0.015)


@pytest.mark.parametrize(("method", "within"), [("local", 0.002), ("cubic", 0.004), ("parabola", 0.02)])
def test_noise_free_runs(method, within):
    optima = sf.isoflop(grid(n=13), method=method)
    assert optima.exponent_N == pytest.approx(TRUE, abs=within)
    assert optima.exponent_N + optima.exponent_D == pytest.approx(1.0, abs=1e-3)
    assert not len(optima.refused)


def test_the_bias_of_parabolas_is_measured():
    """On noise-free runs of the same sizes on every budget the parabola errs, and says by how much."""
    C, N = (a.ravel() for a in np.meshgrid([1e18, 1e19, 1e20, 1e21], np.geomspace(3e7, 3e10, 16), indexing="ij"))
    runs = pd.DataFrame({"N": N, "D": C / (6 * N), "C": C})
    runs = runs[runs["D"] / runs["N"] > 0.3]
    runs["loss"] = sf.published("chinchilla", "besiroglu2024").predict(N=runs["N"], D=runs["D"])
    parabola, local = sf.isoflop(runs, method="parabola"), sf.isoflop(runs, method="local")
    error = parabola.exponent_N - TRUE
    assert abs(error) > 0.004
    assert parabola.bias["exponent_N"] == pytest.approx(error, abs=1e-3)
    assert parabola.bias["N_at_largest"] != pytest.approx(0, abs=0.02)
    assert abs(local.bias["exponent_N"]) < 0.2 * abs(error)
    assert "bias of the method on noise-free runs" in str(parabola)


def test_the_interval_covers():
    """Nominal 90 % intervals of 60 noisy tables hold the truth about 54 times, and the parabola's are narrow."""
    for method, widest in (("parabola", 0.05), ("local", 0.5)):
        ends = [sf.isoflop(grid(noise=0.003, seed=s), method=method).interval(0.9).loc["exponent_N"] for s in range(60)]
        assert 48 <= sum(low < TRUE < high for low, high in ends) <= 60
        assert np.median([high - low for low, high in ends]) < widest


def test_noise_is_estimated():
    measured = [sf.isoflop(grid(noise=0.004, seed=s, n=15), method="local").noise for s in range(10)]
    assert np.mean(measured) == pytest.approx(0.004, rel=0.2)


@given(factor=st.floats(1e-3, 1e3), scale=st.floats(0.5, 2.0))
def test_units_move_nothing(factor, scale):
    runs = grid(noise=0.003)
    moved = runs.assign(N=runs.N * factor, D=runs.D / factor, loss=runs.loss * scale)
    first, second = sf.isoflop(runs, method="local"), sf.isoflop(moved, method="local")
    assert second.exponent_N == pytest.approx(first.exponent_N, abs=1e-6)
    assert second.optima["N"].to_numpy() == pytest.approx(first.optima["N"].to_numpy() * factor, rel=1e-6)


def test_order_of_rows_moves_nothing():
    runs = grid(noise=0.003)
    other = sf.isoflop(runs.sample(frac=1, random_state=1), method="cubic")
    assert other.exponent_N == pytest.approx(sf.isoflop(runs, method="cubic").exponent_N, rel=1e-12)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_budgets_without_a_bracket_are_refused_by_name():
    runs = grid(n=15)
    cut = runs[~((runs.C == 1e18) & (runs.N > 0.0478 * runs.C**0.5126))]
    optima = sf.isoflop(cut, method="local")
    assert optima.refused["C"].tolist() == pytest.approx([1e18])
    assert "largest model" in optima.refused["reason"][0] and "add larger ones" in optima.refused["reason"][0]
    assert any(n.code == "budgets_refused" and "1e+18 FLOP" in n.message for n in optima.notes)
    assert len(optima.optima) == 3


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (grid(budgets=(1e20,)), "Only one budget has an optimum"),
        (grid(n=1, width=1.0001), "No budget has an optimum.*1 size, and parabola needs 3"),
        (grid(shift=40.0), "smallest model"),
        (grid(shift=0.02), "largest model"),
    ],
)
def test_tables_without_exponents(runs, words):
    with pytest.raises(sf.FitError, match=words):
        sf.isoflop(runs)


def test_scattered_compute_is_not_an_isoflop(hoffmann240):
    with pytest.raises(sf.DataError, match="do not share a few budgets"):
        sf.isoflop(hoffmann240)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="parabola, cubic, local"):
        sf.isoflop(grid(), method="quartic")
    with pytest.raises(ValueError, match="2 series"):
        sf.isoflop(grid().assign(series=["a", "b"] * 22))
    with pytest.raises(ValueError, match="not a numeric column"):
        sf.isoflop(grid(), budget="nominal")
    with pytest.raises(ValueError, match="between 0 and 1"):
        sf.isoflop(grid()).interval(95)


def test_nominal_budgets_gather_scattered_compute():
    rng = np.random.default_rng(0)
    runs = grid(n=41).assign(nominal=lambda t: t.C)
    runs["C"] = runs["C"] * np.exp(0.3 * rng.uniform(-1, 1, len(runs)))
    with pytest.raises(sf.DataError, match="budget="):
        sf.isoflop(runs)
    assert len(sf.isoflop(runs, method="local", budget="nominal").optima) == 4


def test_two_budgets_without_noise_estimate_claim_nothing():
    optima = sf.isoflop(grid(budgets=(1e19, 1e20), n=3, width=3.0))
    assert np.isinf(optima.interval(0.9).loc["exponent_N"]).all()
    assert {note.code for note in optima.notes} >= {"two_budgets"}


def test_runs_off_their_curve_are_named():
    runs = grid(noise=0.002, n=15)
    runs.loc[22, "loss"] *= 1.05
    optima = sf.isoflop(runs, method="local")
    assert optima.strange["row"].tolist() == [22]
    assert any(n.code == "strange_runs" for n in optima.notes)


def test_labelled_outliers(external_data):
    """IsoFLOP tables of three projects with the labels of Open-Athena: what the methods make of them, with and without.

    The labels hardly matter to "local" (it looks near the optimum only); parabolas move by up to 0.02. Of 22 labelled
    rows our own eye finds the gross ones: rows whose loss lies above that of the same size with fewer tokens.
    """
    table = pd.read_csv(external_data / "isoflops" / "isoflops.csv")
    table = table.rename(columns={"params": "N", "tokens": "D", "budget": "C"})
    found = {}
    for name, part in table.groupby("experiment"):
        every, kept = (sf.isoflop(t[[*COLUMNS, "outlier"]], method="local") for t in (part, part[~part.outlier]))
        found[name] = every
        note = next(note for note in every.notes if note.code == "labelled_outliers")
        assert note.details["labelled"] == part.outlier.sum() and "the labels do not matter here" in note.message
        assert note.details["exponent_N_without"] == pytest.approx(kept.exponent_N)
        assert not any(note.code == "labelled_outliers" for note in kept.notes)
        assert abs(every.exponent_N - kept.exponent_N) < 0.03
        low, high = every.interval(0.9).loc["exponent_N"]
        assert low < kept.exponent_N < high
    massivetext, comma, dclm = found.values()
    assert massivetext.exponent_N == pytest.approx(0.48, abs=0.03) and len(massivetext.refused) == 2
    for optima in (massivetext, dclm):
        assert table.loc[optima.strange["row"], "reason"].str.contains("spline_outlier").all() and len(optima.strange)


def test_what_it_prints():
    optima = sf.isoflop(grid(noise=0.003), method="parabola")
    text = str(optima)
    assert "N* ~ C^0.5" in text and "N counts total parameters" in text and "tokens_per_param" in text
    record = json.loads(json.dumps(optima.to_dict(), allow_nan=False))
    assert record["exponent_N"] == optima.exponent_N and len(record["optima"]) == 4
    at = optima.predict(1e22)
    assert at["N_lower"][0] < at["N"][0] < at["N_upper"][0]


# -- the envelope, and the approaches together --------------------------------------------------------------------


def curves(noise=0.0, seed=0, n_runs=14, law=None):
    law = law or sf.published("chinchilla", "besiroglu2024")
    rng = np.random.default_rng(seed)
    parts = []
    for i, N in enumerate(np.geomspace(2e7, 2e10, n_runs)):
        D = np.geomspace(0.2 * N, 400 * N, 80)
        loss = law.predict(N=np.full(80, N), D=D) * np.exp(noise * rng.standard_normal(80))
        parts.append(pd.DataFrame({"run": f"run {i}", "N": N, "D": D, "loss": loss}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(("method", "within"), [("local", 0.025), ("lowest", 0.06)])
def test_the_envelope_of_curves(method, within):
    optima = sf.envelope(curves(noise=0.002), method=method)
    assert optima.exponent_N == pytest.approx(TRUE, abs=within)
    low, high = optima.interval(0.95).loc["exponent_N"]
    assert low < TRUE < high
    assert any(note.code == "unannealed" for note in optima.notes)
    assert set(optima.optima.columns) >= {"C", "N", "D", "loss"}


def test_gemstones_with_and_without_embeddings(external_data):
    """Gemstones (arXiv:2502.06857) publishes 0.499380 and 0.626863 by its own approach 1."""
    runs = pd.read_json(external_data / "gemstones" / "hot.jsonl", lines=True)
    runs = runs.rename(columns={"params_active_precise": "N", "tokens": "D", "final_loss": "loss", "run_name": "run"})
    bare = runs.assign(N=runs["N"] - 50304 * runs["width"])
    for table, published in ((runs, 0.499380), (bare, 0.626863)):
        optima = sf.envelope(table[["run", "N", "D", "loss"]])
        low, high = optima.interval(0.9).loc["exponent_N"]
        assert low < published < high and optima.exponent_N == pytest.approx(published, abs=0.08)


def test_an_envelope_needs_overlapping_runs():
    with pytest.raises(sf.FitError, match="an envelope needs 4"):
        sf.envelope(curves(n_runs=3))
    apart = curves(n_runs=8)
    apart["D"] *= (apart["N"] / 2e7) ** 3
    with pytest.raises(sf.FitError):
        sf.envelope(apart)
    with pytest.raises(ValueError, match="budgets"):
        sf.envelope(curves(), budgets=[1e20])


def test_three_approaches_agree_on_runs_of_a_law():
    table = agreement(grid(noise=0.002), curves=curves(noise=0.002), n_draws=40)
    assert table["approach"].tolist() == [
        "isoflop parabola",
        "isoflop cubic",
        "isoflop local",
        "law chinchilla",
        "envelope",
    ]
    assert table["exponent_N"].to_numpy() == pytest.approx(TRUE, abs=0.03)
    assert (table["lower"] < table["upper"]).all() and (table["N_lower"] < table["N"]).all()


def test_conventions_from_one_table():
    """Runs that follow a law in all parameters have a steeper optimum in parameters without embeddings.

    N = N' + 47491 N'^(1/3) is Pearce and Song's (2024, arXiv:2406.12907) relation for Kaplan's models, which moves the
    exponent of small models from 0.5 towards Kaplan's 0.73.
    """
    bare = np.geomspace(1e5, 3e8, 24)
    budgets = np.geomspace(1e15, 1e19, 5)
    C, bare = (a.ravel() for a in np.meshgrid(budgets, bare, indexing="ij"))
    N = bare + 47491 * bare ** (1 / 3)
    D = C / (6 * N)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    runs = pd.DataFrame({"N": N, "D": D, "C": C, "loss": loss, "N_non_embedding": bare})
    table = agreement(runs[(D / N > 0.05) & (D / N < 5000)], n_draws=20).set_index(["params", "approach"])
    total = table.loc[("total", "isoflop local"), "exponent_N"]
    other = table.loc[("non_embedding", "slices of runs"), "exponent_N"]
    assert total == pytest.approx(TRUE, abs=0.02) and other > total + 0.08
    assert "non_embedding" in table.attrs["verdict"]


def test_approaches_on_published_runs(porian):
    table = agreement(rows_of(porian, "tuned", "short", "const", "standard"), n_draws=40)
    assert table["exponent_N"].between(0.48, 0.56).all()
    assert "every two approaches agree" in table.attrs["verdict"]


def test_failed_approaches_say_why(hoffmann240):
    table = agreement(hoffmann240, n_draws=20).set_index("approach")
    assert "do not share" in table.loc["isoflop local", "remark"]
    assert table.loc["law chinchilla", "exponent_N"] == pytest.approx(0.5139, abs=1e-4)


def test_runs_at_one_amount_of_data_are_not_isoflop_curves():
    rng = np.random.default_rng(0)
    N = np.sort(10 ** rng.uniform(7.5, 9.5, 60))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=1e10) * np.exp(0.003 * rng.standard_normal(60))
    C = 6e10 * N
    C = 10 ** (np.round(np.log10(C) * 4) / 4)  # nominal budgets gather them, wrongly
    table = pd.DataFrame({"N": N, "D": 1e10, "loss": loss, "nominal": C})
    with pytest.raises(sf.FitError, match="its sizes span a factor of .* while N D varies by"):
        sf.isoflop(table, budget="nominal")


@pytest.mark.parametrize("name", ["run_id", "run_name"])
def test_runs_are_told_apart_by_other_names_of_their_label(name):
    """Runs whose sizes differ by less than the sizes that are taken for one without a label."""
    N, D = np.meshgrid(np.geomspace(1e7, 1e9, 9), np.geomspace(1e8, 1e11, 40), indexing="ij")
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    good = pd.DataFrame({"N": N.ravel(), "D": D.ravel(), "loss": loss.ravel()})
    good["run"] = np.repeat([f"size {i}" for i in range(9)], 40)
    worse = good.assign(N=1.001 * good["N"], loss=1.3 * good["loss"], D=good["D"] / 4, run=good["run"] + " again")
    both = pd.concat([good, worse], ignore_index=True)
    named = sf.envelope(both.rename(columns={"run": name}))
    pd.testing.assert_frame_equal(named.optima, sf.envelope(both).optima)
    assert named.exponent_N != sf.envelope(both.drop(columns="run")).exponent_N


def test_rows_are_named_by_their_labels_and_what_is_set_aside_is_named():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 8), np.geomspace(1e9, 1e11, 12)))
    law = sf.published("chinchilla", "besiroglu2024")
    curves = pd.DataFrame({"N": N, "D": D, "loss": law.predict(N=N, D=D)}, index=range(1000, 1000 + N.size))
    for runs, find in ((grid().set_index(np.arange(1000, 1044)), sf.isoflop), (curves, sf.envelope)):
        bad = runs.assign(loss=runs["loss"].where(runs.index != 1003))
        with pytest.warns(sf.ScalefitWarning, match="1003"):
            found = find(bad)
        named = {label for curve in found.curves for labels in curve.labels for label in labels}
        assert named and named <= set(runs.index) - {1003}
