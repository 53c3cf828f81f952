"""Make scalefit/stopping/_priors.json from finished runs; run after a change to the curve law or the data.

SCALEFIT_DATA_DIR=... python benchmarks/stopping_priors.py
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from stopping_data import by_source, load_curves

import scalefit.stopping
from scalefit.stopping.history import learn_and_calibrate

TARGET = Path(scalefit.stopping.__file__).with_name("_priors.json")


def main() -> None:
    runs = by_source(load_curves())
    n = sum(map(len, runs.values()))
    priors = learn_and_calibrate(runs, source=f"{n} finished runs of {len(runs)} sources, 25M to 1B parameters")
    record = {
        "priors": asdict(priors),
        "provenance": {
            "made_by": "benchmarks/stopping_priors.py",
            "runs": {name: len(group) for name, group in runs.items()},
            "sources": {
                "EPFL": "github.com/fabian-sp/lr-scheduling, commit 8ace3a3 (MIT): AdamW, 8 to 24 layers",
                "LRA": "github.com/zkshan2002/ScalingLaw, commit 879f3ae: 100M, training loss in 100-step means",
                "MPL": "github.com/thu-yao-01-luo/MultiPowerLaw, commit 8da9f19 (MIT): 25M and 100M",
                "nano1": "github.com/KellerJordan/modded-nanogpt, commit f411b3d (MIT): 124M to 1B, Muon, SOAP, AdamW",
            },
            "what": "summary statistics of laws fitted to the runs; no curve is copied",
        },
    }
    TARGET.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(record["priors"], indent=1))


if __name__ == "__main__":
    main()
