"""Draw the figures of the README: python docs/images/_make.py."""

from pathlib import Path

import numpy as np

import scalefit as sf

HERE = Path(__file__).parent
runs = sf.load_dataset("scalefit_cpu")
runs = runs[runs["series"] == "markov"]
result = sf.fit(runs, "chinchilla")
result.plot(HERE / "fit.png")
chinchilla = sf.fit(sf.load_dataset("chinchilla_epoch"), "chinchilla")
sf.plan(chinchilla, C=1e23).plot().figure.savefig(HERE / "plan.png", dpi=110)

rng = np.random.default_rng(0)
schedule = sf.Schedule.wsd(10_000, warmup=200)
monitor = sf.Monitor(sf.RunPlan(schedule=schedule, n_params=124e6, tokens_per_step=524_288))
for step in range(100, 6001, 100):
    monitor.update(step=step, val_loss=2.9 + 12 * (step + 50) ** -0.45 + 0.003 * rng.standard_normal())
branch = {"cool down now": schedule.cooldown_from(step=6000, steps=1000)}
monitor.plot(what_if=branch).figure.savefig(HERE / "advice.png", dpi=110)
