"""Runs that repeat their data: progress counts less with every pass, and the band reaches up."""

import numpy as np
import pytest

import scalefit as sf
from scalefit.stopping.progress import REPEATS_WORTH, effective_area

from .conftest import feed, make_curve

COSINE = sf.Schedule.cosine(10_000, warmup=200)


def test_progress_is_the_sum_of_discounted_steps():
    steps = np.arange(0, 10_001)
    discount = np.exp(-np.maximum((steps - 0.5) / 2500 - 1, 0) / REPEATS_WORTH)
    direct = np.cumsum(COSINE.lr(steps - 0.5) * discount)
    at = np.array([100, 2500, 4000, 10_000])
    np.testing.assert_allclose(effective_area(COSINE, at, 2500), direct[at], rtol=2e-3)


@pytest.mark.parametrize("epoch_steps", [None, 10_000, 20_000])
def test_new_data_count_whole(epoch_steps):
    at = np.array([100, 4000, 10_000])
    np.testing.assert_array_equal(effective_area(COSINE, at, epoch_steps), COSINE.area(at))


def test_progress_grows_and_is_less_with_more_passes():
    at = np.linspace(0, 10_000, 57)
    once, often = effective_area(COSINE, at, 5000), effective_area(COSINE, at, 1000)
    assert np.all(np.diff(once) > 0) and np.all(np.diff(often) > 0)
    assert np.all(often <= once + 1e-9) and np.all(once <= COSINE.area(at) + 1e-9)


def final(**known):
    steps, loss = make_curve(COSINE, noise=0.003)
    return (
        feed(sf.Monitor(sf.RunPlan(schedule=COSINE, tokens_per_step=1000, **known)), steps, loss, until=2500)
        .advise()
        .final
    )


def test_repeats_raise_the_forecast_and_stretch_the_band_upwards():
    new, few, many = final(unique_tokens=1e7), final(unique_tokens=2e6), final(unique_tokens=7.2e5)
    assert new.loss == final().loss
    assert new.loss < few.loss and many.upper - many.loss > few.upper - few.loss + 0.02
    assert final(epochs=5, pretrained=False).loss == pytest.approx(few.loss, abs=1e-9)


def test_above_sixteen_passes_an_overfit_run_will_end_above_its_best():
    steps = np.arange(100.0, 4001, 100)
    val = 3 + 6 * steps**-0.5 + np.maximum(steps - 1200, 0) * 5e-4
    monitor = sf.Monitor(sf.RunPlan(schedule=sf.Schedule.cosine(4000), unique_tokens=1e5, tokens_per_step=1100))
    for step, value in zip(steps, val, strict=True):
        monitor.update(step=step, val_loss=value)
        if (advice := monitor.advise()).action == "stop":
            break
    said = {reason.code: reason.text for reason in advice.reasons}
    assert advice.action == "stop" and step < 4000
    assert advice.state == "overfitting" and "above the best so far" in said["repeats_too_often"]
