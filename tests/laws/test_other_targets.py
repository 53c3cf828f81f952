"""Targets that are no loss: settings, accuracies in the wrong unit, losses below zero."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import scalefit as sf
from scalefit.errors import ArgumentError


@pytest.mark.parametrize(("law", "target"), [("deepseek_lr", "lr"), ("deepseek_batch", "batch_tokens")])
def test_a_setting_is_neither_a_loss_nor_a_sweep_of_itself(law, target):
    """The batch was told to be a perplexity, and the learning rate to differ among runs of one budget."""
    rng = np.random.default_rng(0)
    C = np.tile(10 ** rng.uniform(18, 22, 20), 2)
    result = sf.fit({"C": C, target: sf.published(law).predict(C=C) * np.exp(0.05 * rng.standard_normal(40))}, law)
    assert result.trusted and not {"swept", "implausible_loss", "assumed_unit"} & {note.code for note in result.notes}


def test_a_sweep_is_still_told_from_replicates():
    rng = np.random.default_rng(0)
    N, lr = np.repeat(10 ** rng.uniform(7, 9, 12), 3), np.tile([1e-3, 2e-3, 4e-3], 12)
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=20 * N) * (1 + 5 * lr)
    assert "swept" in {note.code for note in sf.fit({"N": N, "loss": loss, "lr": lr}, "power_law:N").notes}


def test_the_forecast_of_a_setting_names_no_best_run_and_prints_its_digits():
    """It named runs of one token, as the lowest learning rate was taken for the best."""
    rng = np.random.default_rng(0)
    N, D = 10 ** rng.uniform(8, 10, 30), 10 ** rng.uniform(10, 12, 30)
    lr = sf.published("step_law_lr").predict(N=N, D=D) * np.exp(0.05 * rng.standard_normal(30))
    forecast = sf.forecast({"N": N, "D": D, "lr": lr}, law="step_law_lr")
    assert "nat/token" not in str(forecast) and " lr " in str(forecast) and "Beyond" not in str(forecast)
    with pytest.raises(sf.ScalefitError, match="a setting.*Give N and D"):
        forecast.frontier([1e23])
    with pytest.raises(sf.ScalefitError, match="a setting"):
        forecast.plot()
    row = forecast.predict_interval(N=1e10, D=1e12).iloc[0]
    assert row["lower"] < sf.published("step_law_lr").predict(N=1e10, D=1e12) < row["upper"]
    C = 10 ** rng.uniform(18, 22, 20)
    lr = sf.published("deepseek_lr").predict(C=C) * np.exp(0.05 * rng.standard_normal(20))
    text = str(sf.forecast({"C": C, "lr": lr}, law="deepseek_lr"))
    assert "Beyond" in text and " 0.000 " not in text.split("Beyond")[1].split("Notes")[0]


def test_a_refused_target_is_named_with_what_it_may_be():
    x = np.linspace(2, 4, 12)
    with pytest.raises(sf.DataError, match=r"accuracy is \d+.*, not between 0 and 1"):
        sf.fit({"task_loss": x, "accuracy": 100 / x}, "ladder_sigmoid")
    with pytest.raises(sf.DataError, match="ptq, low_bit, vocabulary"):
        sf.fit({"N": 10**x, "D": 10**x, "loss": -x}, "chinchilla")


def test_the_command_reads_the_target_of_the_law_that_it_forecasts_by(tmp_path, capsys):
    from scalefit.cli import main

    rng = np.random.default_rng(0)
    C = 10 ** rng.uniform(18, 22, 20)
    lr = 0.3 * C**-0.125 * np.exp(0.05 * rng.standard_normal(20))
    pd.DataFrame({"C": C, "lr": lr}).to_csv(tmp_path / "r.csv", index=False)
    with pytest.raises(SystemExit) as end:
        main(["forecast", str(tmp_path / "r.csv"), "--law", "deepseek_lr", "--at", "C=1e23"])
    done = capsys.readouterr()
    assert end.value.code == 0, done.err
    assert "C = 1e+23: lr 0.00" in done.out


def test_an_error_below_zero_has_no_interval_and_inputs_far_from_the_runs_are_noted():
    """The interval was clipped to [0, 0]: as if an error of 0 were known exactly."""
    rng = np.random.default_rng(0)
    x = rng.uniform(2.8, 5.0, 30)
    runs = {"val_loss": x, "error": 0.76 - 1.4 * np.exp(-x) + 0.004 * rng.standard_normal(30)}
    result = sf.fit(runs, "downstream_error")
    assert "squares on error" in str(result) and "on loss" not in str(result)
    with pytest.warns(sf.ScalefitWarning):
        frame = result.predict_interval(val_loss=[3.0, 0.1])
    assert frame["loss"][1] < 0 and frame[["lower", "upper"]].iloc[1].isna().all()
    assert frame["lower"][0] < frame["loss"][0] < frame["upper"][0]
    assert {note.code for note in frame.attrs["notes"]} == {"extrapolation", "impossible_value"}
    with pytest.warns(sf.ScalefitWarning, match="val_loss 2 .runs: 2"):
        assert result.predict_interval(val_loss=2.0).notna().all(axis=None)
    assert not result.predict_interval(val_loss=2.75).attrs["notes"]  # as near as the runs are to each other


def test_a_forecast_by_a_loss_names_no_larger_run_as_ahead():
    """More of the validation loss is worse: the print went on to 3 times the largest one, and told what N counts."""
    x = np.linspace(2.2, 4.0, 24)
    error = (0.75 - 1.1 * np.exp(-0.9 * x)) * np.exp(0.003 * np.random.default_rng(0).standard_normal(24))
    forecast = sf.forecast({"val_loss": x, "error": error}, law="downstream_error")
    text = str(forecast)
    assert "24 runs down to val_loss = 2.2" in text and "Beyond" not in text and "N counts" not in text
    assert not forecast.trusted and "sf.fit(runs, 'downstream_error')" in " ".join(text.split())
    row = forecast.predict_interval(val_loss=2.0).iloc[0]
    assert row["lower"] < 0.75 - 1.1 * np.exp(-1.8) < row["upper"]
    with pytest.raises(ArgumentError, match="Give the val_loss of the run"):
        forecast.register("plan.json")
    forecast.plot()
