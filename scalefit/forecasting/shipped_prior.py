"""The shipped prior over the parameters of a forecast's law: the part that a table can use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scalefit.errors import Note, arg
from scalefit.fitting.priors import Prior
from scalefit.forecasting.calibration import CALIBRATED_LAW, ForecastCalibration
from scalefit.laws import get
from scalefit.laws._base import Law

#: Standard deviations of ln E by which the lowest loss lies below the prior's E where it speaks of other losses, and
#: the factor on the rest of the prior then (a guess: the exponents of other sources may lie further apart).
_BELOW, _LOOSER = 2.0, 2.0


def shipped_prior(
    constants: ForecastCalibration, law: type[Law], loss_unit: str, *, fallback: bool, lowest: float
) -> tuple[Prior | None, list[Note]]:
    """The prior that was learned with the law, or its part on E for another; E in nat/token alone, with a note.

    `fallback` says that the law of compute took the calibrated law's place, which has a prior of its own. Where the
    `lowest` loss of the runs lies below what the prior says of E, they are no losses such as it was learned from.
    """
    given: Prior | None
    if fallback:
        given = constants.compute_prior
    elif law is get(CALIBRATED_LAW):
        given = constants.prior
    else:
        has_positive = "E" in law.parameters and law.parameters["E"].log
        given = _kept(constants.prior, {"E"}) if has_positive else None
    if given is None or "E" not in given.names:
        return given, []
    if loss_unit == "nat/token":
        at = given.names.index("E")
        if np.log(lowest) >= given.mean[at] - _BELOW * np.sqrt(given.cov[at, at]):
            return given, []
        rest = _kept(given, set(given.names) - {"E"})
        text = (
            f"The lowest loss, {lowest:.3g} nat/token, lies below the floors of the language models that the prior was "
            f"learned from: its part on E was dropped, the rest made {_LOOSER:g} times as wide. Say so if the loss is "
            f"per byte or in bits: {arg('loss_unit', 'bit/byte', column=True)}."
        )
        looser = None if rest is None else replace(rest, cov=_LOOSER**2 * rest.cov)
        return looser, [Note("low_losses", "warning", text, {"lowest": lowest})]
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
