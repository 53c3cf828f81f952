"""The path of one run through steps: a trunk, its cooldown branches, and the learning rate along them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from scalefit.schedules import Schedule
from scalefit.training.config import ScheduleConfig


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps ``begin`` to ``end`` (not included).

    `point` numbers the D that its last step completes, or is None. A branch starts from the trunk's state
    at `begin` and leaves the trunk as it was.
    """

    begin: int
    end: int
    point: int | None
    branch: bool


@dataclass(frozen=True)
class Path:
    """All segments of a run in the order in which they are computed."""

    segments: tuple[Segment, ...]
    point_steps: tuple[int, ...]
    warmup: int
    config: ScheduleConfig

    @property
    def n_steps(self) -> int:
        """Optimiser steps over all segments."""
        return sum(segment.end - segment.begin for segment in self.segments)

    def schedule(self, segment: Segment) -> Schedule:
        """The schedule of the run that ends with `segment`, in steps.

        Raises
        ------
        ArgumentError
            The warm-up is longer than that run.
        """
        if self.config.kind == "wsd" and not segment.branch:
            return Schedule.constant(max(self.point_steps[-1], self.warmup + 1), self.warmup)
        return schedule_to(self.config, segment.end if segment.branch else self.point_steps[-1], self.warmup)

    def multiplier(self, segment: Segment, step: int) -> float:
        """Learning rate over its peak at `step`; decays are taken at the middle of each step."""
        return _rates(self, segment)[step - segment.begin]


def cooldown_steps(config: ScheduleConfig, end: int) -> int:
    """Steps of the cooldown of a run that ends at step `end`."""
    return max(1, round(config.cooldown * end))


def schedule_to(config: ScheduleConfig, end: int, warmup: int) -> Schedule:
    """The schedule of a run to step `end`: the loop takes its rates from it, and the live forecast plans by it."""
    if config.kind == "wsd":
        return Schedule.wsd(end, warmup, cooldown_steps(config, end) / end, config.shape, config.final)
    if config.kind == "cosine":
        return Schedule.cosine(end, warmup, config.final)
    return Schedule.constant(max(end, warmup + 1), warmup)


@functools.lru_cache(maxsize=16)
def _rates(path: Path, segment: Segment) -> list[float]:
    steps = np.arange(segment.begin, segment.end)
    rates: list[float] = path.schedule(segment).at_step(steps).tolist()
    return rates


def make_path(config: ScheduleConfig, tokens_per_step: float, n_parameters: int) -> Path:
    """Lay out a schedule in steps.

    Examples
    --------
    >>> path = make_path(ScheduleConfig(tokens=(1000, 2000)), tokens_per_step=10, n_parameters=10**6)
    >>> [(s.begin, s.end, s.branch) for s in path.segments]
    [(0, 80, False), (80, 100, True), (80, 160, False), (160, 200, True)]
    """
    points = tuple(sorted({max(1, round(tokens / tokens_per_step)) for tokens in config.tokens}))
    wanted = config.warmup if config.warmup is not None else min(n_parameters, config.tokens[0] // 5)
    warmup = round(wanted / tokens_per_step)
    segments: list[Segment] = []
    trunk = 0
    for index, steps in enumerate(points):
        if config.kind != "wsd":
            segments.append(Segment(trunk, steps, index, branch=False))
            trunk = steps
            continue
        start = steps - cooldown_steps(config, steps)
        if start > trunk:
            segments.append(Segment(trunk, start, None, branch=False))
            trunk = start
        segments.append(Segment(start, steps, index, branch=True))
    return Path(tuple(segments), points, warmup, config)


def curve_steps(path: Path, n_points: int) -> frozenset[int]:
    """Steps of the trunk after which the curve gets a record, evenly spaced in their logarithm."""
    last = max((segment.end for segment in path.segments if not segment.branch), default=0)
    if n_points == 0 or last == 0:
        return frozenset()
    return frozenset(np.unique(np.geomspace(1, last, n_points).round().astype(int)).tolist())
