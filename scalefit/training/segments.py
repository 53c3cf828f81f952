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
        config = self.config
        if segment.branch:
            share = (segment.end - segment.begin) / segment.end
            return Schedule.wsd(segment.end, self.warmup, share, config.shape, config.final)
        if config.kind == "cosine":
            return Schedule.cosine(self.point_steps[-1], self.warmup, config.final)
        return Schedule.constant(max(self.point_steps[-1], self.warmup + 1), self.warmup)

    def multiplier(self, segment: Segment, step: int) -> float:
        """Learning rate over its peak at `step`; decays are taken at the middle of each step."""
        return _rates(self, segment)[step - segment.begin]


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
        start = steps - max(1, round(config.cooldown * steps))
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
