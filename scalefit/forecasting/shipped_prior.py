"""The shipped prior over the parameters of a forecast's law: what of it a table can use."""

from __future__ import annotations

import numpy as np

from scalefit.errors import Note
from scalefit.fitting.priors import Prior
from scalefit.forecasting.calibration import CALIBRATED_LAW, ForecastCalibration
from scalefit.laws import get
from scalefit.laws._base import Law


def shipped_prior(
    constants: ForecastCalibration, law: type[Law], loss_unit: str, *, fallback: bool
) -> tuple[Prior | None, list[Note]]:
    """The prior that was learned with the law, or its part on E for another; E in nat/token alone, with a note.

    `fallback` says that the law of compute took the calibrated law's place, which has a prior of its own.
    """
    given: Prior | None
    if fallback:
        given = constants.compute_prior
    elif law is get(CALIBRATED_LAW):
        given = constants.prior
    else:
        has_positive = "E" in law.parameters and law.parameters["E"].log
        given = _kept(constants.prior, {"E"}) if has_positive else None
    if given is None or "E" not in given.names or loss_unit == "nat/token":
        return given, []
    text = (
        f"The loss is in {loss_unit}, so the prior on E, which is in nat/token, was dropped. Pass losses in nat/token "
        f"to use it."
    )
    return _kept(given, set(given.names) - {"E"}), [Note("prior_without_E", "info", text)]


def _kept(prior: Prior, names: set[str]) -> Prior | None:
    """The prior's own distribution of some of its parameters."""
    keep = [i for i, name in enumerate(prior.names) if name in names]
    if not keep:
        return None
    kept = tuple(prior.names[i] for i in keep)
    return Prior(kept, prior.mean[keep], prior.cov[np.ix_(keep, keep)], prior.log, prior.source)
