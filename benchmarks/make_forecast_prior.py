"""Write scalefit/forecasting/_forecast_prior.json: every constant that sf.forecast uses, from public tables.

Run from the project's root with SCALEFIT_DATA_DIR set: python benchmarks/make_forecast_prior.py
"""

from __future__ import annotations

import json
from pathlib import Path

from forecast_learning import CANDIDATES, KEPT, PRIOR_GROUPS, PRIOR_SD, document, learn
from forecast_tables import GROUPS, fingerprint, overall, read_series, scores


def main() -> None:
    constants, rows = learn(about=KEPT)
    provenance: dict[str, object] = {
        "made_by": "benchmarks/make_forecast_prior.py",
        "tables": GROUPS,
        "sha256": fingerprint(),
        "smallest_N": int(min(runs.N.min() for _, _, runs in read_series())),
        "prior": (
            "mean and covariance between source projects of ln (E, alpha, beta, g): coupled law, Huber(0.01) on log "
            "loss, weights C^0.5, a Gaussian likelihood per series, expectation-maximisation; the covariance is drawn "
            f"towards {PRIOR_SD}^2 by {PRIOR_GROUPS:g} pseudo-groups"
        ),
        "discrepancy": (
            f"least interval score of {len(CANDIDATES)} candidates on the first eight tables, each group forecast "
            "without itself"
        ),
        "interval": (
            "calibrated on the same forecasts: the scale so that nominal 90 % covers 92.5 % of them, at a power of .8 "
            "and about the posterior's mean; amplitude_sd is a round number; "
            "compute_law on forecasts by a law of compute of the runs along one ratio "
            "of D over N"
        ),
        "error_percent_without_own_group": round(overall(scores(rows))["percent"], 3),
    }
    target = Path(__file__).parent.parent / "scalefit" / "forecasting" / "_forecast_prior.json"
    target.write_text(json.dumps(document(constants, provenance), indent=1) + "\n", encoding="utf-8")
    print(target.read_text())


if __name__ == "__main__":
    main()
