"""``scalefit laws``: the laws there are, and what papers published for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalefit._text import count, folded
from scalefit.cli import _shared as shared
from scalefit.cli._points import points as read_points
from scalefit.flops import QUANTITIES, SIZES

if TYPE_CHECKING:
    from scalefit.laws import Constants, Law, PublishedLaw

_SENSE = {-1: "lower is better", 1: "higher is better", 0: "a setting: neither way is better"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(laws)


def laws(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A law to describe in full, or one set of published constants by its key; without it, all are listed.",
            autocompletion=shared.laws_beginning,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Published laws whose runs covered this point: N=7e9,D=2e12.", metavar="POINT")
    ] = None,
    as_json: shared.AsJson = False,
) -> None:
    """List the laws with their formulas, parameters and published constants, each with its source."""
    from scalefit.laws import get
    from scalefit.laws._registry import usable

    if at is not None:
        if name is not None:
            raise typer.BadParameter("give a law or a point, not both", param_hint="--at")
        _at(at, as_json)
        return
    refused: dict[str, str] = {}
    sets = _sets(name)
    if sets:
        chosen = list(sets)
    elif name is not None:
        chosen = [get(name)]
    else:
        every, refused = usable()
        chosen = list(every.values())
    if as_json:
        more = {"left_out": refused} if refused else {}
        shared.print_json({"laws": [_document(law, sets.get(law)) for law in chosen], **more})
    elif sets:
        for law, constants in sets.items():
            typer.echo("\n".join(map(folded, [f"{law.name}  {law.formula}", "", *_constants(law, constants)])))
            if len(law.published) > 1:
                typer.echo(folded(f"\nscalefit laws {law.name} shows all {len(law.published)} sets of this law."))
    elif name is not None:
        typer.echo("\n".join(map(folded, _full(chosen[0]))))
    else:
        for law in chosen:
            keys = ", ".join(constants.key for constants in law.published) or "none"
            where = f"  (in one of {', '.join(law.choices)}: {law.name}:{law.choices[0]})" if law.choices else ""
            typer.echo(folded(f"{law.name}  {law.formula}{where}") + "\n" + folded(f"    published constants: {keys}"))
        for reason in refused.values():
            typer.echo("\n" + folded(f"Left out: {reason}"))
        typer.echo("\nscalefit laws NAME shows parameters, bounds and sources; scalefit fit runs.csv --law NAME fits.")


def _sets(key: str | None) -> dict[type[Law], Constants]:
    """The set of constants of this key, for each law that has one."""
    from scalefit.laws._registry import registry

    if key is None or key in registry():
        return {}
    return {law: one for law in registry().values() for one in law.published if one.key.lower() == key.lower()}


def _full(law: type[Law]) -> list[str]:
    import inspect

    about = (inspect.getdoc(law) or "").split("\n\n")[0].replace(" [1]_", "")
    lines = [f"{law.name}  {law.formula}", *about.splitlines(), ""]
    for name, declared in law.declarations.items():
        lines.append(f"  reads {declared.label(name)}: {declared.meaning}, {declared.allowed}")
    lines.append(f"  gives {law.target.label()}, " + _SENSE[law.target.sense])
    for name, parameter in law.parameters.items():
        unit = f" [{parameter.unit}]" if parameter.unit != "-" else ""
        low, high = parameter.bounds
        lines.append(f"  {name:<10} {parameter.meaning}{unit}, in [{low:g}, {high:g}]")
    for constants in law.published:
        lines += ["", *_constants(law, constants)]
    return lines


def _constants(law: type[Law], constants: Constants) -> list[str]:
    values = ", ".join(f"{key} = {value:.6g}" for key, value in constants.values.items())
    lines = [f"{constants.key}: {values}", f"  source: {constants.source}"]
    spans = ", ".join(f"{name} {_span(limits)}" for name, limits in constants.covered.items()) or "unknown"
    lines.append(f"  fitted on: {spans} (N counts {constants.params}); {constants.corpus}".rstrip("; "))
    if constants.loss_unit:
        lines.append(f"  loss: {constants.loss_unit}")
    how = {"paper": "read in the paper", "code": "from the authors' repository", "refit": "fitted by scalefit"}
    lines.append(f"  evidence: {how.get(constants.evidence, 'second-hand, from a review')}")
    lines.append(f"  checked against its paper: {constants.checked or 'it prints no value to compare with'}")
    return [*lines, f"  {constants.remark}"] if constants.remark else lines


def _span(limits: tuple[float, float]) -> str:
    return f"{limits[0]:.3g} to {limits[1]:.3g}"


def _document(law: type[Law], only: Constants | None = None) -> dict[str, Any]:
    parameters = {
        name: {"meaning": p.meaning, "unit": p.unit, "bounds": list(p.bounds)} for name, p in law.parameters.items()
    }
    return {
        "name": law.name,
        "formula": law.formula,
        "inputs": list(law.choices or law.inputs),
        "parameters": parameters,
        "published": [_published(constants) for constants in ([only] if only else law.published)],
    }


def _published(constants: Constants) -> dict[str, Any]:
    about = {
        name: getattr(constants, name)
        for name in ("key", "source", "N", "D", "params", "corpus", "remark", "evidence", "checked")
    }
    about |= {"loss_unit": constants.loss_unit} if constants.loss_unit else {}
    return {**about, "values": dict(constants.values)}


def _at(text: str, as_json: bool) -> None:
    from scalefit.laws import available

    point = read_points([text])[0]
    if not isinstance(point, dict) or set(point) != set(SIZES):
        raise typer.BadParameter(f"{text!r} must read N=7e9,D=2e12", param_hint="--at")
    found = available(**point)
    predicted = [(law, _predicted(law, point)) for law in found if _computable(law.law)]
    if as_json:
        rows = [{"law": law.law.name, **_published(law.constants), "loss": loss} for law, loss in predicted]
        shared.print_json({**point, "available": rows})
        return
    if not predicted:
        typer.echo(f"No published law was fitted on runs that cover N {count(point['N'])}, D {count(point['D'])}.")
    for law, loss in predicted:
        typer.echo(f"{law.law.name:<18} {law.constants.key:<24} loss {loss:.4f}")
        typer.echo(folded(f"    {_about(law)}"))


def _computable(law: type[Law]) -> bool:
    """Whether a loss follows from N and D, with defaults for what else the law reads."""
    return law.target.is_loss and all(
        name in QUANTITIES or declared.optional is not None for name, declared in law.declarations.items()
    )


def _predicted(law: PublishedLaw, point: dict[str, float]) -> float:
    needed = set(SIZES) if "C" in law.law.inputs else set(law.law.inputs)
    return float(law.predict(**{key: value for key, value in point.items() if key in needed}))


def _about(law: PublishedLaw) -> str:
    c = law.constants
    return "; ".join(part for part in (c.corpus, f"N counts {c.params}", c.source) if part)
