"""Which parameters of a law are free in a fit, and in what units the fit is done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalefit._arguments import check_number
from scalefit._text import known
from scalefit._typing import AnyArray, Array
from scalefit.errors import ArgumentError, arg, way
from scalefit.fitting.objectives import Objective
from scalefit.fitting.problem import Problem
from scalefit.flops import QUANTITIES
from scalefit.laws._base import Law

#: A bound is kept to this relative rounding.
_SLACK = 1e-9


def _check_names(
    names: list[str], fixed: Mapping[str, Any], tied: Mapping[str, Any], bounds: Mapping[str, Any]
) -> None:
    """Refuse what names no parameter."""
    for argument, given in (("fixed", fixed), ("tied", tied), ("bounds", bounds)):
        unknown = [key for key in given if key not in names]
        if unknown:
            raise ArgumentError(
                f"{arg(argument, unknown)} names no parameter", "nothing was fitted", known(unknown[0], names)
            )
    for key, other in tied.items():
        if not isinstance(other, str):
            raise ArgumentError(
                f"{arg('tied', {key: other})} names no parameter",
                "nothing was fitted",
                f"Name one; for a number use {arg('fixed')}",
            )


def _check_fixed(law: type[Law], fixed: dict[str, float]) -> None:
    """Make numbers of the values that parameters are fixed at, in place; refuse those outside the law's bounds."""
    for key, value in fixed.items():
        fixed[key] = value = check_number(f"fixed[{key!r}]", value)
        low, high = law.parameters[key].bounds
        if not low <= value <= high:
            raise ArgumentError(
                f"{arg('fixed', {key: value})} lies outside [{low:g}, {high:g}]",
                "nothing was fitted",
                f"Fix {key} in there, or widen {arg('bounds')}",
            )


def _check_bounds(law: type[Law], bounds: dict[str, tuple[float, float]]) -> None:
    """Make pairs of numbers of the bounds, in place; refuse those that leave a parameter no value."""
    for key, pair in bounds.items():
        if np.shape(pair) != (2,):
            raise ArgumentError(
                f"{arg('bounds', {key: pair})} must be (lower, upper)",
                "nothing was fitted",
                "Give two numbers; None for one keeps the law's",
            )
        usual = law.parameters[key].bounds
        low, high = (
            limit if end is None else check_number(f"bounds[{key!r}]", end)
            for end, limit in zip(pair, usual, strict=True)
        )
        bounds[key] = (low, high)
        if not low < high:
            raise ArgumentError(
                f"{arg('bounds', {key: (low, high)})} must be (lower, upper) with lower < upper",
                "nothing was fitted",
                "Correct it",
            )
        if law.parameters[key].log and not high > 0:
            raise ArgumentError(
                f"{arg('bounds', {key: (low, high)})} leaves {key}, which must be positive, no value",
                "nothing was fitted",
                "Raise the upper bound",
            )


class Layout:
    """Which parameters are free, and where they stand in the free vector."""

    def __init__(
        self,
        law: type[Law],
        fixed: dict[str, float],
        tied: dict[str, str],
        bounds: dict[str, tuple[float, float]],
        n_groups: int,
        labels: list[Any],
        expressions: Mapping[str, str],
    ) -> None:
        names = list(law.parameters)
        _check_names(names, fixed, tied, bounds)
        _check_fixed(law, fixed)
        _check_bounds(law, bounds)
        simple = {key: other for key, other in tied.items() if key not in expressions}
        for key, other in simple.items():
            if key == other or other in simple or key in fixed or law.parameters[key].log != law.parameters[other].log:
                raise ArgumentError(
                    f"{arg('tied', {key: other})} cannot be",
                    "nothing was fitted",
                    "Tie a free parameter to another of the same kind",
                )
        self.law, self.fixed, self.tied, self.bounds = law, fixed, tied, bounds
        self.index = np.full((n_groups, len(names)), -1)
        self.values = np.zeros((n_groups, len(names)))
        found: list[str] = []
        for j, name in enumerate(names):
            if name in fixed:
                self.values[:, j] = fixed[name]
            elif name not in simple:
                own = n_groups > 1 and law.parameters[name].own
                for group in range(n_groups):
                    if own or group == 0:
                        found.append(f"{name}[{labels[group]}]" if own else name)
                    self.index[group, j] = len(found) - 1
        for key, other in simple.items():
            at, source = names.index(key), names.index(other)
            self.index[:, at], self.values[:, at] = self.index[:, source], self.values[:, source]
        self.names = tuple(found)
        self.n_free = len(found)
        if not found:
            raise ArgumentError(
                "Every parameter is fixed: there is nothing to fit",
                "no law was fitted",
                f"Free one, or predict with {way('sf.published', 'scalefit predict --published')}",
            )

    def problem(
        self,
        columns: dict[str, Array],
        loss: Array,
        objective: Objective,
        weights: Array | None,
        groups: tuple[AnyArray, ...],
        prior_names: set[str],
    ) -> Problem:
        """Return the problem, in units of the inputs' geometric means where no constraint forbids it."""
        units = {key: 1.0 for key in self.law.inputs}
        mentioned = {name for text in self.tied.values() for name in re.findall(r"[A-Za-z_]\w*", text)}
        constrained = prior_names | set(self.fixed) | set(self.bounds) | set(self.tied) | mentioned
        if self.law.rescale is not None and not constrained & scale_dependent(self.law):
            for key in self.law.rescales or self.law.inputs:
                if key in QUANTITIES:
                    units[key] = float(np.exp(np.mean(np.log(columns[key]))))
            if "unique_tokens" in units:
                units["unique_tokens"] = units["D"]
        scaled = {key: column / units[key] for key, column in columns.items()}
        return Problem(self.law, scaled, loss, objective, weights, groups, self.index, self.values, units)


def scale_dependent(law: type[Law]) -> set[str]:
    """Parameters whose values change with the units of the inputs."""
    if law.rescale is None:
        return set()
    params = law.example()
    moved = law.rescale(params, {key: 2.0 for key in law.inputs})
    return {key for key in params if moved[key] != params[key]}


def in_raw_units(problem: Problem) -> Problem:
    """Return the same problem with inputs in parameters, tokens and FLOP, where a parameter can be held at a value."""
    return replace(problem, columns=problem.raw_columns, units=dict.fromkeys(problem.units, 1.0))


def within_bounds(problem: Problem, x: Array) -> AnyArray:
    """Whether each of some free vectors (b, p) keeps the law's bounds (b,) in the units of the table.

    In the units of a search a coefficient is the summand at mid-table, and its own bounds are not a box there.
    """
    law, inverse = problem.law, {key: 1.0 / unit for key, unit in problem.units.items()}
    good = np.ones(x.shape[0], bool)
    if law.rescale is None or all(unit == 1.0 for unit in inverse.values()):
        return good
    with np.errstate(all="ignore"):
        for group in range(len(problem.groups)):
            values = law.rescale({k: v.ravel() for k, v in problem.values(x, group).items()}, inverse)
            for j, (name, parameter) in enumerate(law.parameters.items()):
                if problem.index[group, j] >= 0:
                    low, high = parameter.bounds
                    good &= (values[name] <= high + _SLACK * abs(high)) & (values[name] >= low - _SLACK * abs(low))
    return good


def to_units(problem: Problem, other: Problem, x: Array) -> Array:
    """Free vectors (b, p) of one problem in the units of another one of the same runs, one series."""
    ratio = {key: other.units[key] / unit for key, unit in problem.units.items()}
    values = {key: value.ravel() for key, value in problem.values(x, 0).items()}
    if problem.law.rescale is not None:
        values = problem.law.rescale(values, ratio)
    inner, out = other.free(values), np.array(x)
    for j, at in enumerate(problem.index[0]):
        if at >= 0:
            out[:, at] = inner[j]
    return out
