"""Made-up runs that follow the law, and monitors fed with them."""

from __future__ import annotations

import numpy as np
import pytest

import scalefit as sf
from scalefit.stopping.curve_laws import SaturatingCurve

TRUTH = {"L0": 2.9, "A": 9.0, "alpha": 0.45, "C": 0.24, "rho": 1.5}


def make_curve(schedule, every=100, noise=0.0, seed=0, **changes):
    """Steps and losses of a whole run."""
    steps = np.arange(every, schedule.total + 1, every, dtype=float)
    loss = SaturatingCurve.loss(schedule, steps, **{**TRUTH, **changes})
    return steps, loss + noise * np.random.default_rng(seed).normal(size=len(steps))


def feed(monitor, steps, loss, until=np.inf, train=None):
    """Feed a curve up to a step."""
    for i, (step, value) in enumerate(zip(steps, loss, strict=True)):
        if step <= until:
            monitor.update(step=step, val_loss=value, train_loss=None if train is None else train[i])
    return monitor


@pytest.fixture
def cosine():
    return sf.Schedule.cosine(10_000, warmup=200)


@pytest.fixture
def monitor(cosine):
    return sf.Monitor(sf.RunPlan(schedule=cosine))
