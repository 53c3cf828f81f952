"""The forecast fan: its numbers, and that they are drawn."""

import warnings

import numpy as np
import pytest

import scalefit as sf
from scalefit.forecasting.figures import forecast_data
from scalefit.plots.forecast import draw_forecast


@pytest.fixture(scope="module")
def result():
    N, D = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 1e9, 5), np.geomspace(2e9, 4e10, 5)))
    loss = sf.published("chinchilla", "besiroglu2024").predict(N=N, D=D)
    loss[7] *= 0.9
    return sf.forecast({"N": N, "D": D, "loss": loss})


def test_the_fan_is_the_forecast(result):
    data = forecast_data(result, level=0.9, ratio=50.0)
    assert data.fan_x[-1] == pytest.approx(50 * result.largest_compute)
    assert (np.diff(data.fan_loss) < 0).all()
    (wide, low, high), (narrow, inner_low, inner_high) = data.bands
    assert wide == 0.9 and narrow == 0.5 and (low < inner_low).all() and (inner_high < high).all()
    assert (np.diff(np.log(high / low)[-20:]) > 0).all(), "the fan opens beyond the runs"


def test_it_is_drawn_with_its_outlier(result):
    ax = result.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"runs", "outliers", "90 % interval", "50 % interval", "largest run"} <= set(labels)
    assert ax.get_xscale() == "log" and "nat/token" in ax.get_ylabel()
    assert draw_forecast(forecast_data(result), ax=ax) is ax


def test_the_fan_goes_beyond(result):
    with pytest.raises(ValueError, match="above 1"):
        forecast_data(result, ratio=0.5)


def test_a_forecast_is_drawn_to_a_file_and_shown_in_a_notebook(result, tmp_path):
    assert result.plot(tmp_path / "forecast.png").figure is not None
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert result._repr_html_().startswith("<pre>") and "coupled" in result._repr_html_()


def test_a_law_of_n_alone_is_shown_along_n(tmp_path):
    """It knows no compute: nothing is called FLOP, and the fan and the registered run go along N."""
    N = np.geomspace(7e7, 2.8e9, 7)
    result = sf.forecast({"N": N, "D": np.full(7, 3e11), "loss": 1.6 + 6600 * N**-0.49}, law="power_law:N")
    assert "7 runs up to N = 2.8B" in str(result) and "FLOP" not in str(result) and np.isnan(result.largest_compute)
    ax = result.plot()
    assert ax.get_xlabel() == "N [parameters]" and ax.get_xlim()[1] > 2.8e11
    assert result.register(tmp_path / "plan.json")["inputs"] == {"N": pytest.approx(2.8e10)}


def test_a_target_that_is_no_loss_is_named_and_its_input_stays_in_its_range():
    """The fan went on to losses worse than any run's, up to 300, and errors were drawn in nat per token."""
    rng = np.random.default_rng(1)
    val_loss = rng.uniform(2.2, 3.4, 40)
    error = 0.75 - 1.9 * np.exp(-1.1 * val_loss) + 0.004 * rng.standard_normal(40)
    forecast = sf.forecast({"val_loss": val_loss, "error": error}, law="downstream_error")
    assert "3 x" not in str(forecast)
    axes = forecast.plot()
    assert axes.get_ylabel() == "error" and axes.get_title(loc="left").startswith("Forecast of the error")
    assert axes.get_lines()[0].get_xdata().max() == pytest.approx(val_loss.max())


def test_a_forecast_by_a_loss_goes_on_from_the_lowest_one():
    """Better runs have less of it: the mark is there, and the fan goes on to the left, to the run asked for."""
    L = np.linspace(2.2, 4, 24)
    error = 0.75 - 2 * np.exp(-1.1 * L) + 0.002 * np.random.default_rng(0).standard_normal(24)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sf.ScalefitWarning)
        forecast = sf.forecast({"val_loss": L, "error": error}, law="downstream_error")
    axes = forecast.plot(at=[{"val_loss": 1.6}])
    (mark,) = [line for line in axes.lines if line.get_label() == "lowest val_loss"]
    assert mark.get_xdata()[0] == pytest.approx(2.2)
    (fan,) = [line for line in axes.lines if line.get_label() == "forecast"]
    assert min(fan.get_xdata()) < 1.6 and max(fan.get_xdata()) == pytest.approx(4.0)
