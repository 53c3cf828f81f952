"""Laws with the constants that papers published: predict without a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_level, check_quantity
from scalefit._calls import explained
from scalefit._files import write_json
from scalefit._text import count, known
from scalefit._typing import Array, ArrayLike
from scalefit.errors import ArgumentError, Note, way
from scalefit.extrapolation import times_largest
from scalefit.laws._base import Constants, Law
from scalefit.laws._declarations import Target
from scalefit.laws._inputs import check_inputs
from scalefit.laws._registry import get, plain, registry
from scalefit.predictor import Held, without_interval

if TYPE_CHECKING:
    import pandas as pd


@explained
@dataclass(frozen=True, slots=True)
class PublishedLaw:
    """A law with published constants; it predicts like a fitted result.

    Parameters
    ----------
    law : type of Law
        The law.
    constants : Constants
        Its values and their source.
    """

    law: type[Law]
    constants: Constants

    @property
    def params(self) -> pd.Series[float]:
        """The constants as a Series, in the law's order."""
        import pandas as pd

        return pd.Series({key: self.constants.values[key] for key in self.law.parameters}, dtype=float)

    @property
    def source(self) -> str:
        """Where the constants come from."""
        return self.constants.source

    def predict(self, **inputs: ArrayLike) -> float | Array:
        """What the law predicts [unit of its target] at the given inputs; a float for scalars, else an array.

        Examples
        --------
        >>> import scalefit as sf
        >>> sf.published("chinchilla", "hoffmann2022_tex").predict(N=70e9, D=1.4e12).__round__(5)
        1.92085
        """
        return predict(self.law, dict(self.constants.values), times_largest(self.seen, inputs))

    def predict_interval(self, *, level: float = 0.9, **inputs: ArrayLike) -> pd.DataFrame:
        """Predictions with lower and upper NaN: published constants have no errors."""
        check_level(level)
        return without_interval(self.predict(**{key: v for key, v in inputs.items() if key not in ("kind", "series")}))

    # -- as a Predictor ----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that the law reads."""
        return tuple(self.law.inputs)

    @property
    def held_inputs(self) -> Mapping[str, float]:
        """Inputs fixed at a value: none; see :meth:`at`."""
        return {}

    @property
    def conventions(self) -> Mapping[str, Any]:
        """What N counts, and the unit of the loss where it is not the law's."""
        unit = self.constants.loss_unit
        return {"params": self.constants.params, **({"loss_unit": unit} if unit else {})}

    @property
    def notes(self) -> tuple[Note, ...]:
        """Notes: none."""
        return ()

    @property
    def trusted(self) -> bool:
        """Whether it can be trusted; published constants are taken as printed."""
        return True

    @property
    def target(self) -> Target:
        """What is predicted; a loss in the unit of the runs."""
        return self.law.target.in_unit(self.conventions.get("loss_unit"))

    @property
    def calibrated(self) -> bool:
        """Whether its intervals were calibrated: it has none."""
        return False

    @property
    def undetermined(self) -> tuple[str, ...]:
        """Parameters that the runs do not determine: none."""
        return ()

    @property
    def series(self) -> tuple[str, ...]:
        """Series with coefficients of their own: none."""
        return ()

    def draws(self, n: int = 500) -> pd.DataFrame:
        """Draws of the parameters: none, as papers give no covariance."""
        import pandas as pd

        return pd.DataFrame(index=range(0), columns=list(self.law.parameters), dtype=float)

    def seen(self) -> dict[str, tuple[float, float]]:
        """Ranges of the runs behind the constants; empty where the paper does not give them."""
        return {name: span for name, span in self.constants.covered.items() if np.isfinite(span[1])}

    def runs(self) -> dict[str, Array]:
        """Inputs of the runs behind the constants: not kept."""
        return {}

    def correction(self, **inputs: ArrayLike) -> float:
        """Ratio of the prediction to the law's value: 1."""
        return 1.0

    def at(self, **held: Any) -> Held:
        """Return the same law with some inputs fixed; it predicts from the others."""
        return Held(self, held)

    def cite(self) -> str:
        """BibTeX of the law."""
        return self.law.bibtex

    def to_dict(self) -> dict[str, Any]:
        """Law, key, values and source as a JSON-compatible dict."""
        c = self.constants
        return {"kind": "published", "law": self.law.name, "key": c.key, "values": dict(c.values), "source": c.source}

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text, written to `path` if given."""
        return write_json(self.to_dict(), path)

    def holds_at(self, **inputs: float) -> bool:
        """Whether the runs behind the constants covered these inputs; False if a range is not known."""
        covered = self.constants.covered
        asked = {key: value for key, value in inputs.items() if key in covered or key in self.law.inputs}
        return bool(asked) and all(
            key in covered and covered[key][0] <= value <= covered[key][1] for key, value in asked.items()
        )

    def __repr__(self) -> str:
        return f"<PublishedLaw {self.law.name} {self.constants.key}>"

    def __str__(self) -> str:
        values = ", ".join(f"{key} = {self.constants.values[key]:.6g}" for key in self.law.parameters)
        c = self.constants
        text = f"{self.law.name} ({c.key})  {self.law.formula}\n  {values}\n  source: {c.source}\n  "
        spans = ", ".join(f"{name} {count(low)} to {count(high)}" for name, (low, high) in c.covered.items())
        text += f"fitted on {spans or 'runs of sizes that its source does not give'}; N counts {c.params}"
        text += f"; {c.corpus}" if c.corpus else ""
        text += f"\n  checked against its paper: {c.checked}" if c.checked else ""
        return text + (f"\n  {c.remark}" if c.remark else "")


def predict(law: type[Law], params: dict[str, Any], inputs: dict[str, ArrayLike]) -> float | Array:
    """Target of a law [in its unit], after checking its inputs."""
    columns = check_inputs(law, inputs)
    value = np.asarray(law.evaluate(columns, params), dtype=float)
    return float(value) if value.ndim == 0 else value


@explained
def published(law: str, key: str | None = None) -> PublishedLaw:
    """Return a law with the constants that a paper published.

    Parameters
    ----------
    law : str
        Name of the law, such as ``"chinchilla"``, or whatever else :func:`scalefit.laws.get` finds it by.
    key : str, optional
        Author and year, such as ``"hoffmann2022"``; optional if the law has one set of its own, or if
        `law` is such a key.

    Returns
    -------
    PublishedLaw
        Predicts like a fitted result.

    Raises
    ------
    ArgumentError
        Unknown law or key; the message lists the keys.

    Examples
    --------
    >>> import scalefit as sf
    >>> sf.published("chinchilla", "besiroglu2024").predict(N=70e9, D=1.4e12).__round__(5)
    1.97342
    """
    found = _holder(law) if key is None else None
    if found is None:
        found = get(law)
    sets = {constants.key: constants for constants in found.published}
    asked = law if key is None else key
    if isinstance(asked, str):
        of_variable = f"{asked}_{found.name.partition(':')[2]}"  # "kaplan2020" of power_law:N is kaplan2020_N
        key = next((one for one in sets if plain(one) in (plain(asked), plain(of_variable))), key)
    usual = [one for one, constants in sets.items() if not constants.by_key_only]
    if key is None and len(usual) == 1:
        key = usual[0]
    if not sets:
        raise ArgumentError(
            f"Law {found.name} has no published constants", "nothing was taken", "Fit it to a table of runs"
        )
    if not (isinstance(key, str) and key in sets):
        if key is None:
            raise ArgumentError(
                f"Law {found.name} has {len(sets)} published sets of constants",
                "none was taken",
                f"Choose one with {way(f'published({found.name!r}, KEY)', '--published KEY')}: {', '.join(sets)}",
            )
        raise ArgumentError(
            f"Law {found.name} has no published constants {key!r}", "nothing was taken", known(key, sets)
        )
    if found.choices and "_" in key and key.rsplit("_", 1)[1] in found.choices:
        found = found.on(key.rsplit("_", 1)[1])
    if sets[key].domains:
        found = found.over(sets[key].domains)
    return PublishedLaw(found, sets[key])


def _holder(key: Any) -> type[Law] | None:
    """The one law that has a set of constants of this key."""
    holders = [law for law in registry().values() if any(plain(one.key) == plain(str(key)) for one in law.published)]
    return holders[0] if len(holders) == 1 else None


def available(N: float | str, D: float | str) -> list[PublishedLaw]:
    """Published laws whose runs covered N [parameters] and D [tokens].

    Examples
    --------
    >>> import scalefit as sf
    >>> [law.constants.key for law in sf.laws.available(N=7e9, D=2e11)][:2]
    ['hoffmann2022', 'hoffmann2022_tex']
    """
    N, D = check_quantity("N", N), check_quantity("D", D)
    every = (published(name, c.key) for name, law in registry().items() for c in law.published)
    return [law for law in every if law.holds_at(N=N, D=D)]
