"""Two laws in a row as one law: the loss from its inputs, then the metric from the loss."""

from __future__ import annotations

import inspect
from typing import Any, cast

from scalefit.laws._base import Law
from scalefit.laws._declarations import Target

FIRST, SECOND = "loss_", "metric_"


def compose(first: type[Law], second: type[Law], through: str, target: Target | None = None) -> type[Law]:
    """Return the law that reads what `first` reads and gives what `second` gives.

    Parameters
    ----------
    first, second : type of Law
        The law of the loss, and a law of a metric in it.
    through : str
        The input of `second` that is the loss.
    target : Target, optional
        What it gives; the target of `second` by default.

    Returns
    -------
    type of Law
        Its parameters are those of both, named ``loss_...`` and ``metric_...``.
    """
    names = [*first.inputs, *(key for key in second.inputs if key != through and key not in first.inputs)]
    declared = {**second.declarations, **first.declarations}
    parameters = {FIRST + key: value for key, value in first.parameters.items()}
    parameters |= {SECOND + key: value for key, value in second.parameters.items()}
    n = len(names)

    def loss(*values: Any) -> Any:
        columns = dict(zip(names, values[:n], strict=True))
        given = dict(zip(parameters, values[n:], strict=True))
        between = first.evaluate(columns, {key: given[FIRST + key] for key in first.parameters})
        return second.evaluate({**columns, through: between}, {key: given[SECOND + key] for key in second.parameters})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    cast("Any", loss).__signature__ = inspect.Signature([inspect.Parameter(k, kind) for k in (*names, *parameters)])
    turn = second.direction.get(through, -1)
    body: dict[str, Any] = {
        "__doc__": f"{second.name} of the loss of {first.name}.",
        "__module__": __name__,
        "name": f"{second.name}({first.name})",
        "inputs": tuple(names),
        "formula": f"{second.formula}, {through} = {first.formula.partition('= ')[2] or first.formula}",
        "target": target or second.target,
        "direction": {key: turn * first.direction.get(key, -1) for key in first.inputs},
        "flops": first.flops,
        "bibtex": "\n".join(dict.fromkeys(filter(None, (first.bibtex, second.bibtex)))),
        "loss": staticmethod(loss),
    }
    body |= {key: declared[key] for key in names}
    return cast("type[Law]", cast("Any", type(Law))(f"{second.__name__}Of{first.__name__}", (Law,), body | parameters))
