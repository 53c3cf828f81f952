"""Advice inside a plain training loop: five lines, marked with arrows."""

import math
import random

import scalefit as sf

TOTAL, WARMUP = 3000, 100
random.seed(0)


def evaluate(step: int) -> float:
    """Stand-in for your evaluation: a curve such as a small language model has under this schedule."""
    cosine = 0.1 + 0.45 * (1 + math.cos(math.pi * step / TOTAL))
    return 3.1 + 9 * step**-0.5 + 0.2 * math.log1p(2 * cosine) / math.log(3) + random.gauss(0, 0.004)


schedule = sf.Schedule.cosine(TOTAL, warmup=WARMUP)  # <- the schedule you train with
monitor = sf.Monitor(sf.RunPlan(schedule=schedule, n_params=124e6, tokens_per_step=524_288))  # <-

for step in range(1, TOTAL + 1):
    # ... one optimizer step ...
    if step % 100 == 0:
        monitor.update(step=step, val_loss=evaluate(step))  # <-
        advice = monitor.advise()  # <-
        if advice.action in ("stop", "rollback"):  # <-
            break
        if step % 1000 == 0:
            print(advice, end="\n\n")
        if step == 2000:
            early = monitor.what_if(schedule.cooldown_from(step=2000, steps=400))
            print(f"cooling down now would end at step {early.step:g} with {early.loss:.3f}", end="\n\n")
