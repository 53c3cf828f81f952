"""Optima by budget as people and programs read them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from scalefit.tables.runs import note_record

if TYPE_CHECKING:
    from scalefit.optima.isoflop import Optima


def optima_text(optima: Optima, level: float = 0.9) -> str:
    """The exponents first, then the optima, then what to know before quoting them."""
    counts = optima.conventions.get("params", "total")
    lines = [f"Optima by budget: {optima.method}, {len(optima.optima)} budgets; N counts {counts} parameters"]
    for name, line in (("N", optima.line_N), ("D", optima.line_D)):
        low, high = line.exponent_interval(level)
        known = f"{100 * level:.6g}% [{low:.4f}, {high:.4f}]"
        known = known if math.isfinite(low) else "not known how surely: two budgets, no noise seen"
        lines.append(f"  {name}* ~ C^{line.exponent:.4f}   {known}")
    noise = "not known (too few sizes)" if math.isnan(optima.noise) else f"{optima.noise:.2%}"
    lines.append(f"  noise of runs about their curves {noise}; scatter of ln N* beyond it {optima.line_N.scatter:.3f}")
    bias = optima.bias
    if bias is None:
        lines.append("  bias of the method: not known, the Chinchilla law cannot be fitted to these runs")
    else:
        lines.append(
            f"  bias of the method on noise-free runs of these sizes: exponent of N {bias['exponent_N']:+.4f}, of D "
            f"{bias['exponent_D']:+.4f}; N* at the largest budget {bias['N_at_largest']:+.1%}"
        )
    shown = optima.optima.assign(tokens_per_param=optima.optima["D"] / optima.optima["N"])
    lines += ["  " + line for line in shown.to_string(index=False, float_format=lambda v: f"{v:.4g}").splitlines()]
    lines += [f"  {note}" for note in optima.notes]
    return "\n".join(lines)


def optima_record(optima: Optima, level: float = 0.9) -> dict[str, Any]:
    """The optima as JSON can hold them."""
    interval = optima.interval(level)
    return {
        "method": optima.method,
        "exponent_N": optima.exponent_N,
        "exponent_D": optima.exponent_D,
        "level": level,
        "interval": {name: [_finite(row["lower"]), _finite(row["upper"])] for name, row in interval.iterrows()},
        "optima": optima.optima.to_dict(orient="records"),
        "refused": optima.refused.to_dict(orient="records"),
        "strange": optima.strange.to_dict(orient="records"),
        "noise": None if math.isnan(optima.noise) else optima.noise,
        "scatter": optima.line_N.scatter,
        "bias": optima.bias,
        "params_convention": optima.conventions.get("params", "total"),
        "notes": [note_record(note) for note in optima.notes],
    }


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
