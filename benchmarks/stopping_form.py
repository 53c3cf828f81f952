"""How well forms of the curve law fit finished runs: what saturation and the counting of the warm-up are worth.

SCALEFIT_DATA_DIR=... python benchmarks/stopping_form.py  # writes results/stopping_form.json
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from stopping_data import load_curves

from scalefit.schedules import Schedule
from scalefit.stopping.annealing import anneal_response
from scalefit.stopping.curve_laws import SaturatingCurve, fit_curve


class Unsaturated(SaturatingCurve):
    """The same law with rho near zero: the multi-power law at fixed rate, beta and gamma."""

    name = "unsaturated"
    L0, A, alpha, C, rho = (SaturatingCurve.parameters[k] for k in ("L0", "A", "alpha", "C", "rho"))
    grid = {**SaturatingCurve.grid, "rho": (0.001,)}


class WarmupAtPeak(SaturatingCurve):
    """The same law with the warm-up counted at the peak rate."""

    name = "warmup_at_peak"
    L0, A, alpha, C, rho = (SaturatingCurve.parameters[k] for k in ("L0", "A", "alpha", "C", "rho"))
    grid = SaturatingCurve.grid

    @staticmethod
    def columns(schedule: Schedule, steps: np.ndarray, **shape: float) -> np.ndarray:
        """Columns for L0, A and C."""
        progress = schedule.area(steps, "peak") ** -shape["alpha"]
        response = anneal_response(schedule, steps, saturation=shape["rho"])[0]
        return np.stack([np.ones_like(steps), progress, -response], axis=1)


def main() -> None:
    rows = []
    for curve in load_curves():
        if not curve.healthy:
            continue
        late = curve.steps >= 0.03 * curve.total
        for law in (SaturatingCurve, Unsaturated, WarmupAtPeak):
            fit = fit_curve(law, curve.schedule, curve.steps[late], curve.loss[late])
            rows.append((curve.group, law.name, fit.rmse, fit.params["alpha"]))
    table = pd.DataFrame(rows, columns=["group", "law", "rmse", "alpha"])
    medians = table.groupby(["group", "law"])[["rmse", "alpha"]].median()
    print(medians.unstack().round(4).to_string())
    groups = {
        str(group): {
            "curves": int((part["law"] == "saturating").sum()),
            **{
                law: {key: float(f"{value:.4g}") for key, value in medians.loc[(group, law)].items()}
                for law in sorted(set(part["law"]))
            },
        }
        for group, part in table.groupby("group")
    }
    document = {"made_by": "benchmarks/stopping_form.py", "curves": table.shape[0] // 3, "groups": groups}
    target = Path(__file__).parent / "results" / "stopping_form.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
