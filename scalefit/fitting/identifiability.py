"""What a table determines: refusals with reasons before a fit, notes with what to do after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._numeric import MAD_TO_SD, median, settings
from scalefit._plain import plain
from scalefit._text import shortlist
from scalefit._typing import AnyArray, Array
from scalefit.errors import FitError, Note, arg, way
from scalefit.fitting.problem import Problem
from scalefit.flops import QUANTITIES, SIZES
from scalefit.laws._base import Law

_CONSTANT = 1e-3  # spread of log(input) below which it takes one value
_COLLINEAR = 0.02  # share of an input's spread that the others leave unexplained
#: The same for a warning (a guess).
_NEARLY_COLLINEAR = 0.1
# Typical residual over typical spread of the losses. The 40 training parts of eight public tables leave up to 0.29,
# 100 tables of 30 losses drawn without regard to N and D 0.58 and more (one in a hundred under 0.6).
_EXPLAINS_LITTLE = 0.4
_EXPLAINS_NOTHING = 0.6
HYPERPARAMETERS = frozenset(
    "lr learning_rate peak_lr max_lr bs batch_size global_bs global_batch_size wd weight_decay warmup".split()
)
#: A value of an input that is far from 1, at which an exponent has an effect.
_TYPICAL = 1e9
_OUTLYING = 10.0  # robust standard deviations of the residuals
_OUTLYING_LOSS = 0.05  # share of the loss
_POWER_LAW_RUNS = 5  # three parameters and two more


def refuse(
    law: type[Law], columns: Mapping[str, Array], loss: Array, n_free: int, pinned: set[str], fixed: set[str]
) -> list[Note]:
    """Raise where a fit would be nonsense; return notes where it must be read with care.

    Parameters
    ----------
    law : type of Law
        The law to fit.
    columns : mapping of str to ndarray (n,)
        Its inputs.
    loss : ndarray (n,)
        Losses [nat/token].
    n_free : int
        Free parameters.
    pinned : set of str
        Parameters that the caller fixed, tied or gave a prior: a pinned exponent frees its input from the tests.
    fixed : set of str
        Those of them that have a value: a fixed floor leaves one run fewer to ask for, a prior or a tie does not.

    Raises
    ------
    FitError
        Too few runs, an input that takes one value, or N and D in a fixed ratio.
    """
    n = loss.size
    spare = 1 if floors_of(law) & fixed else 2  # a fixed floor leaves a line in logarithms: one run can speak of it
    if n < n_free + spare:
        raise FitError(
            f"{n} runs are too few for {n_free} free parameters of {law.name}: at least {n_free + spare} are needed",
            "nothing was fitted",
            ("add runs", f"fix or tie parameters ({arg('fixed', {'E': ...})})", _smaller(law, columns, n)),
        )
    if np.ptp(loss) <= 1e-9 * np.abs(loss).max():  # targets other than losses may be zero or negative
        raise FitError(
            f"All {n} losses are {loss[0]:.6g}: there is nothing to fit", "no law was fitted", "Check the loss column"
        )
    notes = []
    if n == n_free + 1:
        text = (
            f"{n} runs for {n_free} free parameters leave one degree of freedom, so the law is hardly tested: "
            "intervals rest on that one, the law's form and what was fixed. Add runs."
        )
        notes.append(Note("one_degree", "warning", text, {"n_runs": n, "n_free": n_free}))
    varied = {key: np.log(value) for key, value in columns.items() if key in QUANTITIES}
    for key, value in varied.items():
        if np.ptp(value) < _CONSTANT and not _input_is_pinned(law, key, pinned):
            others = [other for other in varied if other != key and np.ptp(varied[other]) >= _CONSTANT]
            raise FitError(
                f"{key} is {np.exp(value[0]):.4g} in all {n} runs, so {_effects(law, key)} cannot be told from the "
                "floor",
                "nothing was fitted",
                (f"add runs that vary {key}", *(f"fit power_law:{other}" for other in others[:1])),
            )
        decades = np.ptp(value) / np.log(10)
        if decades < 1.0 and np.ptp(value) >= _CONSTANT:
            notes.append(
                Note(
                    "narrow_range",
                    "warning",
                    f"{key} covers only {decades:.2f} decades; exponents from under one decade depend on single runs. "
                    f"Read predictions inside the range, or add runs that widen {key}.",
                    {"input": key, "decades": float(decades)},
                )
            )
    if set(SIZES) <= set(varied) and not (_input_is_pinned(law, "N", pinned) or _input_is_pinned(law, "D", pinned)):
        notes += _collinear(law, varied["N"], varied["D"])
    return notes


def floors_of(law: type[Law]) -> set[str]:
    """Names of the parameters that a law tends to as its inputs grow: its constant summand, or what is called E."""
    constant = {term.coefficient for term in law.terms if not term.exponents}
    return constant or {"E"} & set(law.parameters)


def refuse_thin_series(law: type[Law], sizes: Mapping[str, int], fixed: set[str]) -> None:
    """Raise where a series has fewer runs than coefficients of its own."""
    own = [name for name, parameter in law.parameters.items() if parameter.own and name not in fixed]
    thin = {label: size for label, size in sizes.items() if size < len(own)}
    if thin:
        text = ", ".join(f"{label!r} ({size} runs)" for label, size in thin.items())
        raise FitError(
            f"Series {text}: too few runs for the {len(own)} coefficients that each series has of its own "
            f"({', '.join(own)})",
            "nothing was fitted",
            ("add runs to it", "leave it out", f"fix a coefficient ({arg('fixed', {own[0]: ...})})"),
        )


def _smaller(law: type[Law], columns: Mapping[str, Array], n: int) -> str:
    """A law with fewer parameters that these runs allow, in words."""
    several = set(SIZES) <= set(law.inputs) and n >= _POWER_LAW_RUNS
    if several and np.ptp(np.log(columns["N"]) + np.log(columns["D"])) >= _CONSTANT:
        return "fit a law with fewer, such as power_law:C"
    return "fit a law with fewer"


def _collinear(law: type[Law], log_n: Array, log_d: Array) -> list[Note]:
    left, slope = unexplained(log_d, log_n)
    if left < _COLLINEAR:
        if abs(slope - 1) < 0.05:
            ratio = f"every run has about {np.exp(np.median(log_d - log_n)):.3g} tokens per parameter"
        else:
            ratio = f"D follows N^{slope:.2f}"
        raise FitError(
            f"N and D move together ({ratio}), so {law.name} cannot tell the effect of size from that of data",
            "nothing was fitted",
            (
                "add runs off that line",
                "fit a law of compute (power_law:C)",
                f"fix an exponent ({arg('fixed', {(input_exponents(law, 'D') or ['...'])[0]: ...})})",
            ),
        )
    if left < _NEARLY_COLLINEAR:
        return [
            Note(
                "collinear",
                "warning",
                f"N and D nearly move together: only {left:.0%} of D's spread is its own. Intervals hold, but the two "
                f"exponents trade off. Add runs at other ratios of tokens to parameters.",
                {"unexplained": float(left)},
            )
        ]
    return []


def unexplained(y: Array, x: Array) -> tuple[float, float]:
    """Share of y's spread that a line in x leaves, and the line's slope."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy / max(dx @ dx, 1e-300))
    return float(np.sqrt(np.mean((dy - slope * dx) ** 2) / max(np.mean(dy**2), 1e-300))), slope


def repeated_notes(law: type[Law], columns: Mapping[str, AnyArray]) -> list[Note]:
    """Say that runs saw tokens more than once, where the law takes every token for new."""
    unique = columns.get("unique_tokens")
    if unique is None or "D" not in law.inputs or "unique_tokens" in law.inputs:
        return []
    n = int((unique < 0.99 * columns["D"]).sum())
    if n == 0:
        return []
    text = (
        f"{n} of {unique.size} runs saw tokens more than once; {law.name} treats every token as new, so predictions at "
        f"other numbers of epochs are biased. Fit data_constrained, which counts repeats."
    )
    return [Note("repeated_tokens", "warning", text, {"n_runs": n})]


def sweep_notes(law: type[Law], columns: Mapping[str, AnyArray]) -> list[Note]:
    """Say that hyperparameters vary among runs of one size and length: then such runs are not replicates."""
    own = {*law.inputs, law.target.name, *law.target.names}  # a law of the learning rate predicts it
    swept = [name for name in columns if name.lower() in HYPERPARAMETERS and name not in own]
    if not swept:
        return []
    # A law in C alone has runs of many shapes at each C, and settings that follow N and D there are no sweep.
    sizes = [key for key in dict.fromkeys((*law.inputs, *SIZES, "series")) if key in columns]
    group = settings(columns[key] for key in sizes)
    counts = np.bincount(group)
    if counts.size == group.size:
        return []
    varied, several = [], np.zeros(counts.size, bool)
    for name in swept:
        values = settings([columns[name]])
        low, high = np.full(counts.size, np.inf), np.full(counts.size, -np.inf)
        np.minimum.at(low, group, values)
        np.maximum.at(high, group, values)
        if (high > low).any():
            varied.append(name)
            several |= high > low
    if not varied:
        return []
    given = " and ".join(sizes)
    keep = f"runs.loc[runs.groupby({sizes})['loss'].idxmin()]"
    text = (
        f"{', '.join(varied)} differ{'s' if len(varied) == 1 else ''} among runs of the same {given}, in "
        f"{int(several.sum())} of {counts.size} settings. All were kept, so the law describes the middle of a sweep. "
        f"For the law of well-tuned runs keep the best of each setting: {keep}."
    )
    return [Note("swept", "warning", text, {"columns": varied, "settings": int(several.sum())})]


def unexplained_spread(problem: Problem, x: Array, n_free: int) -> float:
    """Typical residual at x (p,) as a share of the losses' own spread, corrected for the free parameters.

    Near 0 where a law accounts for the losses, near 1 where a constant would do as well. The smaller of two shares: by
    medians, because a law may hold for most runs and not for a few that went wrong; and by means, because most runs may
    be repeats of one, whose losses differ by noise alone.
    """
    residual = problem.residuals(x[None])[0]
    target = problem.objective.link(problem.loss)
    used = np.isfinite(residual) & (True if problem.weights is None else problem.weights > 0)
    residual, target = residual[used], target[used]
    if residual.size <= n_free:
        return 0.0
    left, spread = _deviations(residual), _deviations(target)
    share = min((part / whole for part, whole in zip(left, spread, strict=True) if whole > 0), default=0.0)
    return share / float(np.sqrt(1 - n_free / residual.size))


def _deviations(values: Array) -> tuple[float, float]:
    """Median and mean absolute deviation from the median."""
    off = np.abs(values - median(values))
    return float(median(off)), float(off.mean())


def unexplained_problem(share: float) -> str | None:
    """Why a law that leaves this share of the spread of the losses must not be trusted; None where it may be."""
    if share < _EXPLAINS_NOTHING:
        return None
    return f"the law leaves {min(share, 1.0):.0%} of the typical spread of the losses unexplained"


def unexplained_notes(share: float) -> list[Note]:
    """Say that a law explains less of the losses than a law that holds does."""
    if not _EXPLAINS_LITTLE <= share < _EXPLAINS_NOTHING:
        return []
    text = (
        f"The law leaves {share:.0%} of the typical spread of the losses unexplained; laws that hold leave under "
        f"0.3. Something other than its inputs affects the losses (learning rate, data, unfinished runs): look for it, "
        f"and add runs over a wider range."
    )
    return [Note("unexplained_spread", "warning", text, {"share": share})]


def outlier_notes(problem: Problem, x: Array, labels: AnyArray) -> list[Note]:
    """Name runs that lie far beyond the scatter of the others, by over a twentieth of their loss."""
    residual = problem.residuals(x[None])[0]
    off = np.abs(residual / (problem.loss if problem.objective.on == "loss" else 1.0))
    out = (np.abs(residual) > _OUTLYING * MAD_TO_SD * _deviations(residual)[0]) & (off > _OUTLYING_LOSS)
    if not out.any():
        return []
    worst = np.flatnonzero(out)[np.argsort(-off[out])]
    rows = plain(labels[worst])
    shown = shortlist(rows)
    above = int((residual[worst] < 0).sum())
    which = f"rows {shown}) lie" if len(rows) > 1 else f"row {shown}) lies"
    side = f"{above} of them above it" if len(rows) > 1 else "above it" if above else "below it"
    text = (
        f"{len(rows)} of {residual.size} runs ({which} over {_OUTLYING:g} times the scatter of the others off the "
        f"law, {side}. They were kept. Runs that diverged, were stopped early or are in another unit "
        f"do this: look at them, and leave such runs out."
    )
    return [Note("outliers", "warning", text, {"rows": rows, "above": above})]


def input_exponents(law: type[Law], key: str) -> list[str]:
    """Names of the exponents of one input: as the law declares them, or what has no effect where the input is 1."""
    named = [e for term in law.terms for column, e in term.exponents.items() if column == key]
    if named or key in law.exponents:
        return named or list(law.exponents[key])
    usual = {name: one.typical[len(one.typical) // 2] for name, one in law.declarations.items() if one.typical}
    params = {name: np.array([parameter.example]) for name, parameter in law.parameters.items()}
    point = {name: np.array([usual.get(name, _TYPICAL)]) for name in law.inputs}
    with np.errstate(all="ignore"):  # 1 may be far from what the law is of
        at_one, at_many = (law.derivatives(point | {key: value}, params)[1] for value in (np.ones(1), point[key]))
    return [
        name
        for (name, parameter), one, many in zip(law.parameters.items(), at_one, at_many, strict=True)
        if np.abs(one) < 1e-9 * np.abs(many) and not parameter.log  # what is fitted by its logarithm is a scale
    ]


def exponents_of(law: type[Law]) -> list[str]:
    """Names of a law's exponents: those it declares; where it declares none, what has no effect at an input of 1."""
    declared = (*(key for term in law.terms for key in term.exponents), *law.exponents)
    return list(dict.fromkeys(name for key in declared or law.inputs for name in input_exponents(law, key)))


def _input_is_pinned(law: type[Law], key: str, pinned: set[str]) -> bool:
    exponents = input_exponents(law, key)
    return bool(exponents) and all(name in pinned for name in exponents)


def _effects(law: type[Law], key: str) -> str:
    return " and ".join(input_exponents(law, key)) or f"the effect of {key}"


def bound_notes(law: type[Law], at_bound: tuple[str, ...], values: Mapping[str, Any]) -> list[Note]:
    """Say which parameters ended at a bound and what that means."""
    notes = []
    for name in at_bound:
        parameter = law.parameters[name.split("[")[0]]
        notes.append(
            Note(
                "at_bound",
                "warning",
                f"{name} ended at its bound ({float(values[name]):.4g}; {parameter.meaning}). Its error is not defined "
                f"and the law may be too rich for these runs: fix {name} or fit a law without it.",
                {"parameter": name, "value": float(values[name])},
            )
        )
    return notes


def ridge_notes(correlations: list[tuple[str, str, float]]) -> list[Note]:
    """Say which parameters are almost perfectly correlated."""
    strong = [item for item in correlations if abs(item[2]) > 0.98]
    if not strong:
        return []
    pairs = ", ".join(f"{a}~{b} {value:+.3f}" for a, b, value in strong[:3])
    return [
        Note(
            "ridge",
            "info",
            f"Almost perfectly correlated: {pairs}. Do not interpret a coefficient alone; exponents and predictions "
            "are fine.",
            {"pairs": [[a, b, float(value)] for a, b, value in strong]},
        )
    ]


def replicate_note(columns: Mapping[str, Array], residual: Array, n_free: int) -> list[Note]:
    """Noise from repeated inputs, and a test of lack of fit against it."""
    group = settings(columns.values())
    counts = np.bincount(group)
    repeated = int((counts > 1).sum())
    spare = residual.size - counts.size
    if repeated == 0 or spare < 3 or counts.size <= n_free:
        return []
    from scipy.special import fdtrc

    means = np.bincount(group, residual) / counts
    within = float(np.sum((residual - means[group]) ** 2))
    between = float(np.sum(counts * means**2))
    noise = np.sqrt(within / spare)
    if noise == 0:
        return []
    ratio = (between / (counts.size - n_free)) / (within / spare)
    p_value = float(fdtrc(counts.size - n_free, spare, ratio))
    details = {"noise": float(noise), "f_ratio": float(ratio), "p_value": p_value, "repeated": repeated}
    text = f"{repeated} settings were run more than once: the noise between such runs is {noise:.2g} in the residual"
    if p_value < 0.01:
        return [
            Note(
                "lack_of_fit",
                "warning",
                f"{text}, and the law misses the settings' means by more (F = {ratio:.1f}, p = {p_value:.1g}). "
                "Its intervals describe these runs only; try a richer law with "
                f"{way('sf.compare', 'scalefit compare')}.",
                details,
            )
        ]
    return [Note("replicates", "info", f"{text}; the law fits within it (p = {p_value:.2g}).", details)]
