"""Other packages on the splits that sf.forecast is measured on. Written to results/others.json.

Each split is given to the package as its documentation shows, with its defaults but fewer draws: fit, then the median
and the 90 % interval of a new run at the test runs. The scores are those of benchmarks/forecast.py, whose numbers for
scalefit stand beside them (everything learned for a table left that table's source out). The packages run in a Python
of their own:

    python -m venv other && other/bin/pip install simple-scaling-laws==0.2.0     # needs Python 3.12
    SCALEFIT_DATA_DIR=... python benchmarks/others.py --python other/bin/python

A package that refuses a split is scored on the others, and the number of refusals is in its row.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "others.json"
LEVEL = 0.9
LAWS = ("separable-power", "skaling-joint-power")
#: Runs in the other package's Python: splits on stdin, a line of JSON for each on stdout.
WORKER = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import polars
import simple_scaling_laws as other

law, draws, splits = json.load(sys.stdin)
names = {"N": "model_size__params", "D": "dataset_size__tokens"}
for split in splits:
    train, test = split["train"], split["test"]
    start = time.process_time()
    try:
        frame = {"training_run_id": [str(i) for i in range(len(train["N"]))], "test_loss__loss": train["loss"]}
        frame |= {names[key]: train[key] for key in names}
        model = other.fit(polars.DataFrame(frame), law=law, n_draws=draws, seed=0)
        points = polars.DataFrame({names[key]: test[key] for key in names})
        found = model.predict(points, kind="new-run", quantiles=(0.05, 0.5, 0.95))
        columns = [name for name in found.columns if name.startswith("test_loss")]
        answer = {"columns": columns, "values": [found[name].to_list() for name in columns]}
    except Exception as error:
        answer = {"refused": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps({"key": split["key"], "seconds": time.process_time() - start, **answer}), flush=True)
"""


def measured(python: Path, law: str, draws: int) -> dict[str, Any]:
    """Scores of one law of the package over every split."""
    from forecast_tables import overall, read_splits, scores

    splits = read_splits()
    sent = [
        {
            "key": k,
            "train": split.train[["N", "D", "loss"]].to_dict("list"),
            "test": split.test[["N", "D"]].to_dict("list"),
        }
        for k, split in enumerate(splits)
    ]
    done = subprocess.run(
        [python, "-c", WORKER], input=json.dumps([law, draws, sent]), capture_output=True, text=True, check=True
    )
    rows, refused, seconds = [], [], []
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        split = splits[answer["key"]]
        seconds.append(answer["seconds"])
        values = None if "refused" in answer else np.sort(np.array(answer["values"], dtype=float), axis=0)
        if values is None or not np.isfinite(values).all():
            refused.append([split.table, split.series, split.cut, answer.get("refused", "not finite")])
            continue
        lower, middle, upper = values
        part = {"table": split.table, "series": split.series, "cut": split.cut, "loss": split.test.loss.to_numpy()}
        rows.append(pd.DataFrame({**part, "predicted": middle, "lower": lower, "upper": upper}))
    table = scores(pd.concat(rows, ignore_index=True))
    return {
        "overall": overall(table),
        "tables": table.to_dict("index"),
        "splits": len(splits),
        "refused": refused,
        "seconds": float(np.mean(seconds)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=200, help="its bootstrap draws; 1,000 by default there")
    options = parser.parse_args()
    sys.path.insert(0, str(HERE))
    version = "import importlib.metadata as m; print(m.version('simple-scaling-laws'))"
    found = subprocess.run([options.python, "-c", version], capture_output=True, text=True, check=True)
    document: dict[str, Any] = {"package": f"simple-scaling-laws {found.stdout.strip()}", "level": LEVEL}
    document |= {"draws": options.draws, "laws": {}}
    for law in LAWS:
        document["laws"][law] = measured(options.python, law, options.draws)
        print(law, document["laws"][law]["overall"], len(document["laws"][law]["refused"]), "refused", flush=True)
        RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
