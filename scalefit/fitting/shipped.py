"""Priors that come with scalefit, learned from public tables, and the values of the argument ``prior=``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from scalefit.errors import ArgumentError, arg
from scalefit.fitting.priors import Prior
from scalefit.flops import SIZES
from scalefit.laws._base import Law


@cache
def shipped_document() -> Mapping[str, Any]:
    """Return what ``benchmarks/make_forecast_prior.py`` learned, as saved."""
    text = files("scalefit.forecasting").joinpath("_forecast_prior.json").read_text(encoding="utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found


def priors_from(saved: Mapping[str, Any]) -> tuple[Prior, Prior]:
    """Return the priors of the coupled law and of a law of compute from their document."""
    found = []
    for key in ("prior", "compute_prior"):
        part = saved[key]
        mean, cov = np.array(part["mean"], float), np.array(part["cov"], float)
        found.append(Prior(tuple(part["names"]), mean, cov, True, part["source"]))
    return found[0], found[1]


def prior_of(prior: Any, law: type[Law], conventions: Mapping[str, Any]) -> Prior | None:
    """Return the prior that the argument means; "shipped" is the forecast's, for the parameters that the law shares.

    Raises
    ------
    ArgumentError
        Neither a Prior, a mapping nor "shipped"; or no shipped prior fits the law.
    """

    def shipped() -> Prior:
        of_sizes, of_compute = priors_from(shipped_document())
        known = {SIZES: of_sizes, ("C",): of_compute}
        found = known.get(tuple(law.inputs))
        names = (
            [name for name in found.names if name in law.parameters] if found is not None and law.shared_prior else []
        )
        if conventions.get("loss_unit", "nat/token") != "nat/token":
            names = [name for name in names if name != "E"]
        if found is None or not names:
            raise ArgumentError(
                f"{arg('prior', 'shipped')} was learned for chinchilla, coupled and power_law:C, not for {law.name}",
                "nothing was fitted",
                "Give a mapping, such as {'E': (1.8, 0.1)}",
            )
        at = np.array([found.names.index(name) for name in names])
        return Prior(tuple(names), found.mean[at], found.cov[np.ix_(at, at)], found.log, found.source)

    return Prior.of(prior, shipped)
