"""A drawn curve as a law, so that what plans with laws can plan with it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from scalefit._typing import Array
from scalefit.downstream.curves import Curve
from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class Raised(Law):
    """A share that is chance, plus an exponential or a sigmoid of the loss; a draw has one of the two."""

    name = "downstream_curve"
    inputs = ("val_loss",)
    formula = "share = chance + gain e^(-steep (L - lowest)) + rise / (1 + e^(steep (L - place)))"
    target = Target("accuracy", sense=1, range=(0.0, 1.0), scale="linear")
    direction = {"val_loss": -1}
    val_loss = Input("validation loss", ("val_loss",), "nat/token", range=(0, 100), typical=(2.0, 3.0, 4.0))

    chance = Parameter("share that guessing gets", (0.0, 1.0), (0.25,))
    gain = Parameter("gain of the exponential at the lowest loss", (0.0, 1.0), (0.3,))
    rise = Parameter("gain of the sigmoid", (0.0, 1.0), (0.5,))
    steep = Parameter("steepness in the loss", (0.0, 1e3), (2.0,))
    place = Parameter("loss at half of the sigmoid's gain", (0.0, 100.0), (2.0,))
    lowest = Parameter("lowest loss of the runs", (0.0, 100.0), (2.5,))

    @staticmethod
    def loss(val_loss: Any, chance: Any, gain: Any, rise: Any, steep: Any, place: Any, lowest: Any) -> Any:
        """Share between 0 and 1 [-]."""
        exponential = np.exp(np.clip(-steep * (val_loss - lowest), -60.0, 60.0))
        sigmoid = 1.0 / (1.0 + np.exp(np.clip(steep * (val_loss - place), -60.0, 60.0)))
        return np.minimum(chance + gain * exponential + rise * sigmoid, 1.0)


def curve_law(higher: bool, span: tuple[float, float]) -> type[Law]:
    """The law in the metric's own unit and direction."""
    low, high = span
    if higher and span == (0.0, 1.0):
        return Raised

    def loss(val_loss: Any, chance: Any, gain: Any, rise: Any, steep: Any, place: Any, lowest: Any) -> Any:
        share = Raised.loss(val_loss, chance, gain, rise, steep, place, lowest)
        return low + (high - low) * (share if higher else 1.0 - share)

    target = Target("metric" if higher else "error", sense=1 if higher else -1, range=span, scale="linear")
    body = {"name": Raised.name, "target": target, "loss": staticmethod(loss), "__doc__": Raised.__doc__}
    body["direction"] = {"val_loss": -1 if higher else 1}
    return cast("type[Law]", cast("Any", type(Law))("Turned", (Raised,), body | {"__module__": __name__}))


def parameters_of(curve: Curve) -> dict[str, Array]:
    """Draws (d,) of the law's parameters."""
    exponential, sigmoid = curve.form == "exponential", curve.form == "sigmoid"
    return {
        "chance": curve.chance,
        "gain": np.where(exponential, curve.gain, 0.0),
        "rise": np.where(sigmoid, curve.gain, 0.0),
        "steep": curve.steep,
        "place": curve.place,
        "lowest": np.full(len(curve.chance), curve.lowest),
    }
