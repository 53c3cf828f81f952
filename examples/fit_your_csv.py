"""Fit a law to your own CSV of finished runs, and see whether to believe it.

python examples/fit_your_csv.py runs.csv
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import scalefit as sf


def stand_in() -> Path:
    """Write a CSV with the column names people use: 36 runs of a published law with 0.5 % of noise."""
    rng = np.random.default_rng(0)
    law = sf.published("chinchilla", "besiroglu2024")
    rows = ["run,n_params,tokens,val_loss"]
    for n in ("70M", "160M", "410M", "1B", "1.4B", "2.8B"):
        for d in ("3B", "10B", "30B", "60B", "100B", "300B"):
            N, D = (sf.counting.parse_quantity(text) for text in (n, d))
            rows.append(f"{n}-{d},{n},{d},{law.predict(N=N, D=D) * np.exp(0.005 * rng.standard_normal()):.4f}")
    path = Path(tempfile.mkdtemp()) / "runs.csv"
    path.write_text("\n".join(rows))
    return path


path = Path(sys.argv[1]) if len(sys.argv) > 1 else stand_in()
runs = sf.read_runs(path)
print("read as", runs.attrs["scalefit"]["guessed"])

result = sf.fit(runs, "chinchilla")
print(result)

print(result.predict_interval(N=[7e9], D=[2e11], level=0.9).round(3).to_string(index=False))
if not result.certificate.trusted:
    sys.exit(3)
