"""What a method of finding optima gets wrong without noise, on the very sizes and budgets at hand.

Parabolas through lopsided curves are biased even on noise-free runs; how much depends on the sizes trained, so it is
measured on them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scalefit.errors import ScalefitError
from scalefit.optima.power_law_fit import power_line

if TYPE_CHECKING:
    from scalefit.optima.isoflop import Optima


_DENSE = 4001


def bias_of(optima: Optima) -> dict[str, float] | None:
    """Errors of the method where every run follows the Chinchilla law fitted to the table; see `Optima.bias`."""
    import scalefit as sf
    from scalefit.optima.envelope import LABELS
    from scalefit.optima.isoflop import optima_of

    try:
        result = sf.fit({key: optima.runs[key] for key in ("N", "D", "loss")}, "chinchilla")
        clean = [
            replace(curve, y=np.log(result.predict(N=np.exp(curve.x), D=np.exp(curve.log_D))))
            for curve in optima.curves
        ]
        method = next((method for method, label in LABELS.items() if label == optima.method), optima.method)
        again = optima_of(clean, method, optima.runs, optima.conventions, (), 0)
    except ScalefitError:
        return None
    # The truth: the law's minimum along each budget as it was trained, which need not be 6 N D = C.
    budgets = again.optima["C"].to_numpy()
    sizes, tokens = [], []
    for curve in clean:
        if curve.C in budgets:
            x = np.linspace(curve.x[0], curve.x[-1], _DENSE)
            log_d = np.interp(x, curve.x, curve.log_D)
            at = int(np.argmin(result.predict(N=np.exp(x), D=np.exp(log_d))))
            sizes.append(np.exp(x[at]))
            tokens.append(np.exp(log_d[at]))
    errors = np.full(budgets.size, 1.0)
    truth_n, truth_d = (power_line(budgets, np.array(values), errors) for values in (sizes, tokens))
    found_n, found_d = (power_line(budgets, again.optima[key].to_numpy(), errors) for key in ("N", "D"))
    return {
        "exponent_N": found_n.exponent - truth_n.exponent,
        "exponent_D": found_d.exponent - truth_d.exponent,
        "N_at_largest": float(again.optima["N"].iloc[-1]) / sizes[-1] - 1,
    }
