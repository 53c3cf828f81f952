"""sf.fit_hyperparameters: optima that are known, intervals that hold them, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalefit as sf
from scalefit._digests import with_digest
from scalefit.tuning.bowl import Cells, excess, fit_bowls, rise
from scalefit.tuning.optimum_laws import fit_optimum_law

SIZES, RATIOS = (5e7, 1.5e8, 4e8), (10, 40, 160)


def best_lr(N, D):
    """Step Law: Li et al. (2025), arXiv:2503.04715, eq. 1."""
    return 1.79 * N**-0.713 * D**0.307


def best_batch(D):
    return 0.58 * D**0.571 / 2048


def sweep(n=7, noise=0.001, seed=0, sizes=SIZES, ratios=RATIOS, batches=1, shape=0.0, scatter=0.0):
    """Runs of a sweep whose optima follow Step Law."""
    rng, rows = np.random.default_rng(seed), []
    for N in sizes:
        for D in (N * r for r in ratios):
            star = np.log(best_lr(N, D)) + scatter * rng.standard_normal()
            middle = np.log(2) * np.round((star + rng.uniform(-0.3, 0.3)) / np.log(2))
            for lr in middle + np.log(2) * (np.arange(n) - (n - 1) / 2):
                for b in np.log(best_batch(D)) + 0.2 + np.log(2) * (np.arange(batches) - (batches - 1) / 2):
                    u, v = lr - star, b - np.log(best_batch(D))
                    loss = 2 + 400 * N**-0.35 + 300 * D**-0.3 + 0.04 * float(rise(np.array(u), shape))
                    loss += (0.02 * v**2 - 0.016 * u * v) if batches > 1 else 0
                    rows.append((N, D, np.exp(lr), np.exp(b), loss + noise * rng.standard_normal()))
    frame = pd.DataFrame(rows, columns=["N", "D", "lr", "batch_size", "loss"])
    return frame if batches > 1 else frame.drop(columns="batch_size")


LAST = float(np.nextafter(1, 0))


@pytest.fixture(scope="module")
def fitted():
    return sf.fit_hyperparameters(sweep(), "lr")


@pytest.fixture(scope="module")
def both():
    return sf.fit_hyperparameters(sweep(n=6, batches=5), batch_unit="sequences", T_max=2048)


# -- the bowl and the law ----------------------------------------------------------------------------------------------


def test_the_bowl_is_a_quadratic_at_shape_0_and_steeper_on_the_side_of_its_shape():
    u = np.linspace(-1, 1, 5)
    assert rise(u, 0.0) == pytest.approx(0.5 * u**2) and rise(u, 1e-4) == pytest.approx(0.5 * u**2, rel=1e-3)
    assert rise(np.array(1.0), 1.0) > rise(np.array(-1.0), 1.0) > 0
    curvature = np.array([[0.04, -0.01], [-0.01, 0.03]])
    assert excess(np.array([[1.0, 2.0]]), curvature, np.zeros(2))[0] == pytest.approx(0.02 - 0.02 + 0.06)


def test_an_optimum_without_noise_is_found_exactly():
    """A quadratic through five values, whose lowest point lies between two of them."""
    x = np.log(1e-3) + np.arange(5.0)[:, None] * 0.7
    stars = [np.log(1e-3) + 1.1, np.log(1e-3) + 1.7]
    cells = Cells.of([x, x], [2 + 0.02 * (x[:, 0] - star) ** 2 for star in stars])
    _, bowls = fit_bowls(cells, shapes=np.zeros(1))
    assert bowls.best[:, 0] == pytest.approx(stars, abs=1e-6)
    assert bowls.curvature[:, 0, 0] == pytest.approx([0.04, 0.04], rel=1e-3)


def test_the_shape_is_chosen_by_evidence():
    steep = sf.fit_hyperparameters(sweep(n=9, shape=1.0, noise=0.0005), "lr")
    plain = sf.fit_hyperparameters(sweep(n=9, noise=0.0005), "lr")
    assert steep.model.shapes[0] > 0.4 and plain.model.shapes[0] == 0
    assert any("steeper above" in note.message for note in steep.notes if note.code == "shape")


def test_a_law_of_optima_that_are_known_well():
    N, D = (a.ravel() for a in np.meshgrid(SIZES, np.geomspace(1e9, 1e11, 4)))
    law = fit_optimum_law(N, D, np.log(best_lr(N, D)), np.full(N.size, 1e-3))
    assert law.exponent("N", 0.9)[:3] == pytest.approx([-0.713] * 3, abs=0.02)
    assert law.coefficient == pytest.approx(1.79, rel=0.1)
    assert law.at([1e9], [1e11])[0] == pytest.approx(best_lr(1e9, 1e11), rel=0.02)


def test_intervals_widen_beyond_the_cells_and_with_fewer_of_them():
    N, D = (a.ravel() for a in np.meshgrid(SIZES, np.geomspace(1e9, 1e11, 4)))
    z, rng = np.log(best_lr(N, D)), np.random.default_rng(0)
    z = z + 0.05 * rng.standard_normal(z.size)

    def width(rows, at):
        low, high = fit_optimum_law(N[rows], D[rows], z[rows], np.full(len(z[rows]), 0.03)).interval(*at, 0.9)
        return float(np.log(high / low)[0])

    widths = [width(slice(None), ([1.4e8 * f], [1e10 * f])) for f in (1, 10, 100, 1000)]
    assert widths == sorted(widths) and widths[3] > 3 * widths[0]
    assert width(slice(0, 4), ([1.4e9], [1e11])) > 1.3 * widths[1]


def test_an_input_that_does_not_matter_may_be_dropped_and_one_that_does_not_vary_is_open():
    N, D = (a.ravel() for a in np.meshgrid(SIZES, np.geomspace(1e9, 1e11, 4)))
    z = np.log(best_batch(D)) + 0.03 * np.random.default_rng(1).standard_normal(N.size)
    frame = pd.DataFrame({"N": N, "D": D})
    law = fit_optimum_law(N, D, z, np.full(N.size, 0.03))
    without = [fit_optimum_law(frame.N, frame.D, z, np.full(N.size, 0.03), one) for one in (("D",), ("N",))]
    assert without[0].evidence > law.evidence > without[1].evidence
    still = fit_optimum_law(np.full(12, 1e8), D, z, np.full(12, 0.03))
    low, high = still.interval([1e9], [1e10], 0.9)
    assert high / low > 10 and np.log(np.divide(*still.interval([1e8], [1e10], 0.9)))[0] > -0.4


# -- what is found -----------------------------------------------------------------------------------------------------


def test_the_optima_and_the_law_of_a_known_sweep(fitted):
    optima = fitted.optima
    star = best_lr(optima["N"], optima["D"])
    inside = (optima["lr_lower"] <= star) & (star <= optima["lr_upper"])
    assert len(optima) == 9 and inside.mean() >= 0.75
    row = fitted.laws.loc["lr"]
    assert row["N_lower"] < -0.713 < row["N_upper"] and row["D_lower"] < 0.307 < row["D_upper"]
    assert row["N_droppable"] < 0.01 and row["D_droppable"] < 0.01 and fitted.trusted
    far = fitted.predict(N=4e9, D=6.4e11).iloc[0]
    assert far["lr_lower"] < best_lr(4e9, 6.4e11) < far["lr_upper"] and far["beyond"] == pytest.approx(10)


def test_the_predicted_interval_holds_the_truth_as_often_as_it_says():
    """Ten times beyond in compute, optima scattered by 10 %; docs/hyperparameters.md has the wider measurement."""
    hits = []
    for seed in range(12):
        fit = sf.fit_hyperparameters(sweep(n=5, noise=0.002, seed=seed, scatter=0.1, ratios=(10, 80)), "lr")
        N, D = 4e8 * 10**0.5, 3.2e10 * 10**0.5
        new = best_lr(N, D) * np.exp(0.1 * np.random.default_rng(1000 + seed).standard_normal())
        row = fit.predict(N=N, D=D).iloc[0]
        hits.append(row["lr_lower"] <= new <= row["lr_upper"])
    assert sum(hits) >= 9  # 0.9 claimed: fewer than 9 of 12 has a chance below 3 %


def test_learning_rate_and_batch_together(both):
    row = both.predict(N=1e9, D=1e11).iloc[0]
    assert row["lr_lower"] < best_lr(1e9, 1e11) < row["lr_upper"]
    assert row["batch_size_lower"] < best_batch(1e11) < row["batch_size_upper"]
    assert row["batch_tokens"] == pytest.approx(2048 * row["batch_size"])
    assert both.model.crossed and (both.bowls.curvature[:, 0, 1] < 0).all()


def test_a_batch_that_is_held_moves_the_learning_rate(both):
    """lr* at a batch v above its best is up by 0.016 v / 0.04."""
    point = {"N": 2e8, "D": 8e9}
    free = both.predict(**point).iloc[0]
    held = both.predict(**point, batch_size=2 * best_batch(8e9)).iloc[0]
    assert np.log(held["lr"] / free["lr"]) == pytest.approx(0.4 * np.log(2), abs=0.12)


def test_the_unit_of_a_setting_does_not_matter(fitted):
    table = sweep()
    scaled = sf.fit_hyperparameters(table.assign(lr=1000 * table["lr"]), "lr").predict(N=1e9, D=1e11).iloc[0]
    plain = fitted.predict(N=1e9, D=1e11).iloc[0]
    for name in ("lr", "lr_lower", "lr_upper"):
        assert scaled[name] == pytest.approx(1000 * plain[name], rel=1e-4)


@settings(max_examples=5)
@given(st.integers(0, 2**16))
def test_the_order_of_the_rows_does_not_matter(fitted, seed):
    rows = sweep().sample(frac=1, random_state=seed)
    found = sf.fit_hyperparameters(rows, "lr")
    assert found.laws["N"].tolist() == pytest.approx(fitted.laws["N"].tolist(), rel=1e-5)


def test_the_best_run_is_biased_and_that_is_named():
    fit = sf.fit_hyperparameters(sweep(n=9, noise=0.01, seed=3), "lr")
    optima = fit.optima
    assert (optima["loss_best_run"] < optima["loss"]).mean() > 0.5
    assert next(note for note in fit.notes if note.code == "best_run").details["loss"] < 0


def test_a_run_that_went_wrong_does_not_move_an_optimum(fitted):
    table = sweep()
    table.loc[table.index[3], "loss"] += 0.05  # a loss spike in the middle of a cell
    table.loc[table.index[20], "loss"] += 3.0  # and one that diverged
    found = sf.fit_hyperparameters(table, "lr").optima["lr"]
    assert np.abs(np.log(found / fitted.optima["lr"])).max() < 0.25


# -- penalties ---------------------------------------------------------------------------------------------------------


def test_what_being_off_costs(fitted):
    point = {"N": 4e8, "D": 1.6e10}
    off = fitted.penalty(**point, by_factor=2)
    assert off["factor"].tolist() == [0.5, 2.0] and (off["lower"] < off["penalty"]).all()
    assert ((off["lower"] < 0.02 * np.log(2) ** 2) & (0.02 * np.log(2) ** 2 < off["upper"])).all()
    best = float(fitted.predict(**point)["lr"].iloc[0])
    costs = [fitted.penalty(**point, lr=best * f)["penalty"].iloc[0] for f in (1.0, 1.5, 2.0, 4.0)]
    assert costs == sorted(costs) and 0 < costs[0] < 1e-3 < costs[3]


def test_a_penalty_far_beyond_the_cells_owns_up_to_not_knowing_the_best(fitted):
    near, far = (
        fitted.penalty(N=N, D=20 * N, lr=float(fitted.predict(N=N, D=20 * N)["lr"].iloc[0]))["upper"].iloc[0]
        for N in (2e8, 2e11)
    )
    assert far > 5 * near


# -- cells that show no optimum ----------------------------------------------------------------------------------------


def test_cells_that_do_not_bracket_their_optimum_are_named_and_left_out():
    table = sweep(n=7)
    N = table["N"].max()
    table = table[(table["N"] < N) | (table["lr"] < 0.9 * best_lr(table["N"], table["D"]))]
    fit = sf.fit_hyperparameters(table, "lr")
    assert len(fit.left_out) == 3 and (fit.left_out["N"] == N).all()
    assert "N=400M" in next(note for note in fit.notes if note.code == "unbracketed").message
    assert fit.left_out["why"].str.contains("at or above its largest value").all()
    surface = sf.fit_hyperparameters(table, "lr", method="surface")
    assert surface.used.sum() == 9 and surface.laws["n_cells"].iloc[0] == 9
    row = surface.predict(N=4e8, D=1.6e10).iloc[0]
    assert row["lr_lower"] < best_lr(4e8, 1.6e10) < row["lr_upper"]


def test_too_few_cells_or_an_input_that_hardly_varies_are_not_trusted():
    few = sf.fit_hyperparameters(sweep(sizes=(1e8, 4e8), ratios=(20,)), "lr")
    assert not few.trusted and "few_cells" in {note.code for note in few.notes}
    narrow = sf.fit_hyperparameters(sweep(sizes=(1e8, 1.05e8), ratios=(5, 20, 80, 320)), "lr")
    assert not narrow.trusted and "narrow_input" in {note.code for note in narrow.notes}
    low, high = narrow.predict(N=1e9, D=2e10).iloc[0][["lr_lower", "lr_upper"]]
    assert high / low > 3
    known = sf.fit_hyperparameters(sweep(sizes=(1e8, 1.05e8), ratios=(5, 20, 80, 320)), "lr", drop={"lr": "N"})
    assert known.trusted and known.inputs == {"lr": ("D",)}


def test_one_ratio_determines_the_law_along_it_alone():
    fit = sf.fit_hyperparameters(sweep(sizes=np.geomspace(5e7, 8e8, 5), ratios=(20,)), "lr")
    assert "one_line" in {note.code for note in fit.notes} and fit.trusted
    along, off = (fit.predict(N=1.6e9, D=D).iloc[0] for D in (3.2e10, 3.2e12))
    assert np.log(off["lr_upper"] / off["lr_lower"]) > 2 * np.log(along["lr_upper"] / along["lr_lower"])


TABLE = sweep(n=5)
FIRST = TABLE[(TABLE["N"] == SIZES[0]) & (TABLE["D"] == SIZES[0] * 10)]
REFUSED = [
    (TABLE.drop(columns="lr"), {"of": "lr"}, sf.DataError, "no column of the peak learning rate"),
    (TABLE, {"of": ("lr", "batch_size")}, sf.DataError, "no column of the batch size"),
    (TABLE.assign(batch_size=256), {"of": ("lr", "batch_size")}, sf.FitError, "three values of batch_size"),
    (TABLE.drop(columns="lr"), {}, sf.DataError, "no column of the peak learning rate"),
    (TABLE.groupby(["N", "D"]).head(2), {}, sf.FitError, "three values of lr"),
    (TABLE.assign(lr=-1.0), {}, sf.DataError, "No run has a positive value"),
    (TABLE.groupby(["N", "D"]).head(2), {"of": "lr"}, sf.FitError, "three values of lr"),
    (FIRST, {"of": "lr"}, sf.FitError, "All runs are of one cell"),
    (TABLE.assign(loss=3 - 0.01 * np.log(TABLE["lr"])), {"of": "lr"}, sf.FitError, "No cell brackets its optimum"),
    (TABLE.assign(lr="fast"), {"of": "lr"}, sf.DataError, "holds 'fast' in row"),
    (TABLE.assign(series=np.arange(len(TABLE)) % 2), {"of": "lr"}, sf.FitError, "series"),
    (TABLE.assign(lr=-1.0), {"of": "lr"}, sf.DataError, "No run has a positive value"),
    (TABLE, {"of": ("loss",)}, ValueError, "must name settings"),
    (TABLE, {"of": 3}, ValueError, "names no settings"),
    (TABLE, {"of": "lr", "method": "magic"}, ValueError, "Known: cells, surface"),
    (TABLE, {"of": "lr", "batch_unit": "tokens"}, ValueError, "no batch_size"),
    (TABLE, {"of": "lr", "drop": {"lr": "C"}}, ValueError, "neither N nor D"),
    (TABLE, {"of": "lr", "drop": {"wd": "N"}}, ValueError, "not a setting of this fit"),
    (TABLE, {"of": "lr", "inputs": {"lr": "rate"}}, sf.DataError, "No column 'rate'"),
    (TABLE, {"of": "lr", "inputs": {"beta": "lr"}}, ValueError, "Name it in of= too"),
    (
        TABLE.assign(N=np.random.default_rng(0).permutation(np.geomspace(1e8, 1.3e8, len(TABLE)))),
        {"of": "lr"},
        sf.FitError,
        "without a gap",
    ),
]


@pytest.mark.parametrize(("table", "options", "error", "words"), REFUSED, ids=[row[3][:24] for row in REFUSED])
def test_what_is_refused(table, options, error, words):
    with pytest.raises(error, match=words):
        sf.fit_hyperparameters(table, **options)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({}, "no column of it"),
        ({"batch_size": 256}, "3 values of it (the most is 1)"),
        ({"batch_size": np.nan}, "3 values of it (the most is 0)"),
        ({"batch_size": "auto"}, "Column 'batch_size' holds 'auto'"),
        ({"warmup": "long"}, "no column of it"),
    ],
)
def test_what_is_not_swept_is_left_out_and_said(more, why, fitted):
    """A sweep of the learning rate alone is fitted without being asked to name it."""
    found = sf.fit_hyperparameters(sweep().assign(**more))
    assert found.names == ("lr",) and found.laws.equals(fitted.laws)
    (note,) = [note for note in found.notes if note.code == "left_out"]
    assert note.message.startswith("batch_size was left out") and why in note.message
    assert "left_out" not in {note.code for note in fitted.notes}


def test_other_settings_are_fitted_where_neither_rate_nor_batch_is_swept(fitted):
    found = sf.fit_hyperparameters(sweep().rename(columns={"lr": "weight_decay"}).assign(lr=1e-3))
    assert found.names == ("weight_decay",)
    assert found.laws["N"].iloc[0] == pytest.approx(fitted.laws["N"].iloc[0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda fit: fit.predict(N=-1, D=1e9), "positive"),
        (lambda fit: fit.predict(N=[1e8, 2e8], D=[1e9, 2e9, 3e9]), "shape"),
        (lambda fit: fit.predict(N=1e8, D=1e9, wd=0.1), "not a setting of this fit"),
        (lambda fit: fit.predict(N=1e8, D=1e9, lr=1e-3), "nothing was predicted"),
        (lambda fit: fit.penalty(N=1e8, D=1e9), "Give settings"),
        (lambda fit: fit.penalty(N=1e8, D=1e9, lr=1e-3, by_factor=2), "Give settings"),
        (lambda fit: fit.penalty(N=1e8, D=1e9, by_factor=0.5), "above 1"),
        (lambda fit: fit.predict(N=1e8, D=1e9, level=2), "level"),
    ],
)
def test_arguments_without_meaning(fitted, call, words):
    with pytest.raises(ValueError, match=words):
        call(fitted)


# -- tables ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["learning_rate", "max_lr", "Peak LR", "config.optim.lr"])
def test_columns_by_their_usual_names(name, fitted):
    found = sf.fit_hyperparameters(sweep().rename(columns={"lr": name}), "lr")
    assert found.laws["N"].iloc[0] == fitted.laws["N"].iloc[0]


def test_the_unit_of_a_batch_is_named_or_asked():
    table = sweep(n=4, batches=4)
    guessed = sf.fit_hyperparameters(table)
    assert guessed.batch.unit == "sequences" and "batch_unit" in {note.code for note in guessed.notes}
    named = sf.fit_hyperparameters(
        table.assign(batch_size=2048 * table["batch_size"]).rename(columns={"batch_size": "batch_tokens"})
    )
    assert named.batch.unit == "tokens" and named.batch.stated
    assert named.predict(N=1e9, D=1e11)["batch_size"].iloc[0] == pytest.approx(
        2048 * guessed.predict(N=1e9, D=1e11)["batch_size"].iloc[0], rel=1e-4
    )


def test_context_lengths_that_vary_matter_to_a_batch_in_sequences_alone():
    table = sweep(n=4, batches=4)
    table = table.assign(T_max=np.where(np.arange(len(table)) % 2, 1024, 2048))
    assert sf.fit_hyperparameters(table, batch_unit="tokens").batch.unit == "tokens"
    with pytest.raises(sf.DataError, match="several context lengths"):
        sf.fit_hyperparameters(table, batch_unit="sequences")


@pytest.mark.parametrize("off", [0.0, np.nan])
def test_a_setting_that_is_off_in_some_runs_is_called_varying(off):
    table = sweep()
    table = table.assign(weight_decay=np.where(np.arange(len(table)) % 2, 0.1, off))
    (note,) = [note for note in sf.fit_hyperparameters(table, "lr").notes if note.code == "varies_too"]
    assert note.details == {"setting": "weight_decay"}


def test_a_setting_that_varies_along_is_fitted_along():
    fit = sf.fit_hyperparameters(sweep(n=4, batches=4), "lr")
    assert fit.names == ("lr", "batch_size") and "fitted_along" in {note.code for note in fit.notes}


def test_two_columns_of_one_name_are_taken_where_they_agree():
    table = sweep(n=5)
    doubled = pd.concat([table, 1.01 * table["loss"]], axis=1)
    fit = sf.fit_hyperparameters(doubled, "lr")
    assert "two_losses" in {note.code for note in fit.notes}
    assert fit.optima["loss"].iloc[0] == pytest.approx(
        1.01 * sf.fit_hyperparameters(table, "lr").optima["loss"].iloc[0]
    )
    with pytest.raises(sf.DataError, match="column 'loss' more than once"):
        sf.fit_hyperparameters(pd.concat([table, table["loss"].sample(frac=1, ignore_index=True)], axis=1), "lr")


def test_cells_of_several_kinds_of_models_are_named():
    table = pd.concat([sweep(seed=1).assign(layers=4), sweep(seed=2).assign(layers=8)])
    fit = sf.fit_hyperparameters(table, "lr")
    assert next(note for note in fit.notes if note.code == "mixed_cells").details["columns"] == ["layers"]


# -- out and back ------------------------------------------------------------------------------------------------------


def test_saved_and_loaded(both, tmp_path):
    path = tmp_path / "hp.json"
    document = json.loads(both.to_json(path))
    again = sf.Hyperparameters.load(path)
    assert {"laws", "optima", "left_out", "notes", "trusted"} <= set(document)
    pd.testing.assert_frame_equal(again.predict(N=1e9, D=1e11), both.predict(N=1e9, D=1e11))
    pd.testing.assert_frame_equal(again.penalty(N=1e9, D=1e11, by_factor=2), both.penalty(N=1e9, D=1e11, by_factor=2))
    assert str(again) == str(both) and again.to_json() == both.to_json()


@pytest.mark.parametrize("change", [{"kind": "fit"}, {"format": 9}, {"saved": {}}, {"saved": {"N": [1.0]}}])
def test_a_changed_file_is_refused(fitted, change):
    document = {**json.loads(fitted.to_json()), **change}
    for said in (document, with_digest(document)):
        with pytest.raises(sf.DataError, match="was not read"):
            sf.Hyperparameters.load(json.dumps(said))


@pytest.mark.parametrize(("key", "value"), [("inputs", {"lr": ["N:N", "D"]}), ("level", 1e308), ("level", 0.0)])
def test_a_part_of_another_kind_is_refused_though_signed_again(fitted, key, value):
    document = json.loads(fitted.to_json())
    document["saved"][key] = value
    with pytest.raises(sf.DataError, match=f"{key}.*was not read"):
        sf.Hyperparameters.load(json.dumps(with_digest(document)))


def test_a_changed_number_is_refused(fitted):
    document = json.loads(fitted.to_json())
    document["saved"]["bowls"]["best"][0][0] += 0.1
    with pytest.raises(sf.DataError, match="SHA-256"):
        sf.Hyperparameters.load(json.dumps(document))


def test_what_it_says(both):
    lines = str(both).splitlines()
    assert lines[0] == "TRUST: yes" and max(map(len, lines)) <= 100
    assert lines[1].startswith("Best settings at N = 1.26B, D = 202B, 10 times") and "batch_size" in "".join(lines[1:3])
    assert any(line.startswith("  lr = ") for line in lines) and any("is needed for lr" in line for line in lines)
    assert any(line.split()[:2] == ["50M", "500M"] for line in lines)


def test_the_figure(both, fitted):
    axes = both.plot()
    assert [axis.get_ylabel() for axis in axes] == ["best lr", "best batch_size"]
    assert fitted.plot().get_xscale() == "log"


def test_a_plan_takes_it(both):
    law = sf.published("chinchilla", "besiroglu2024")
    plan = sf.plan(law, C=1e20, hyperparameters=both)
    expected = both.predict(N=plan.N, D=plan.D).iloc[0]
    assert plan.settings.values["lr"] == pytest.approx(expected["lr"])
    said = " ".join(str(plan).split())
    assert "your sweep of 9 cells" in said and "olmo_ladder" not in said
    assert plan.to_dict()["settings"]["batch_tokens"] == pytest.approx(expected["batch_tokens"])
    table = sf.plan(law, C=[1e20, 1e21], hyperparameters=both)
    assert table["lr"].iloc[0] == pytest.approx(expected["lr"]) and {"lr_lower", "batch_size_upper"} <= set(table)
    without = " ".join(str(sf.plan(law, C=1e20)).split())
    assert "these rules differ" in without and "60M to 1B" in without
    with pytest.raises(ValueError, match="not a fit of settings"):
        sf.plan(law, C=1e20, hyperparameters={"lr": 1e-3})


def test_the_command(tmp_path, both):
    table, saved = tmp_path / "runs.csv", tmp_path / "hp.json"
    sweep(n=6, batches=5).to_csv(table, index=False)

    def run(*words):
        command = [sys.executable, "-m", "scalefit", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    words = ["hyperparameters", table, "--at", "N=1e9,D=1e11", "--T-max", 2048, "--batch-unit", "sequences"]
    done = run(*words, "--json", "--save", saved)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["predictions"][0]["lr"] == pytest.approx(both.predict(N=1e9, D=1e11)["lr"].iloc[0], rel=1e-6)
    planned = run("plan", "--published", "besiroglu2024", "--C", "1e20", "--hyperparameters", saved)
    assert planned.returncode == 0 and "your sweep" in " ".join(planned.stdout.split()), planned.stderr
    refused = run("hyperparameters", table, "--of", "weight_decay")
    assert refused.returncode == 1 and "no column of the weight decay" in refused.stderr


# -- public sweeps -----------------------------------------------------------------------------------------------------


def test_step_law_s_dense_sweep(external_data):
    """Exponents near those that its authors print: -0.713 and 0.307; batch 0.571 (arXiv:2503.04715, eq. 1)."""
    runs = pd.read_csv(external_data / "steplaw" / "dense_lr_bs_loss.csv")
    runs = runs.rename(columns={"smooth loss": "loss", "bs": "batch_size"})[["N", "D", "lr", "batch_size", "loss"]]
    fit = sf.fit_hyperparameters(runs)
    row = fit.predict(N=1e9, D=1e11).iloc[0]
    assert row["lr_lower"] < best_lr(1e9, 1e11) < row["lr_upper"]
    assert fit.laws.loc["lr", "N"] == pytest.approx(-0.713, abs=0.1)
    assert fit.laws.loc["lr", "D"] == pytest.approx(0.307, abs=0.1)
    assert fit.laws.loc["batch_size", "D"] == pytest.approx(0.571, abs=0.1)
    assert fit.trusted and len(fit.optima) == 15


def test_step_law_s_experts_by_total_parameters_are_a_trap(external_data):
    path = external_data / "law_tables" / "steplaw_moe.csv"
    fit = sf.fit_hyperparameters(path, columns={"loss": "smooth loss"})
    assert not fit.trusted and {"narrow_input", "mixed_cells"} <= {note.code for note in fit.notes}


def test_a_table_without_a_sweep_is_refused(external_data):
    path = external_data / "porian" / "porian_isoflop_points.csv"
    with pytest.raises(sf.DataError, match="no column of the peak learning rate"):
        sf.fit_hyperparameters(path, columns={"N": "n", "D": "tokens"})


def test_the_last_level_below_one_is_the_widest_and_a_number():
    """(1 + level) / 2 rounds to 1 there: its quantile is infinite, or not a number, by scipy's version."""
    near, far = (sf.fit_hyperparameters(sweep(), "lr", level=level).predict(N=1e8, D=1e9) for level in (0.999, LAST))
    assert far["lr_lower"].iloc[0] < near["lr_lower"].iloc[0] and near["lr_upper"].iloc[0] < far["lr_upper"].iloc[0]
    assert np.isfinite(far["lr_upper"].iloc[0])
