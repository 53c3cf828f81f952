"""What a plan costs: training and serving, device-hours and money, and the frontier of training against serving.

A model that will serve many tokens should be smaller and trained longer than the compute-optimal one: training costs
6 N D, serving T tokens 2 N T (Sardana et al. 2023, arXiv:2401.00448). A served FLOP costs more than a trained one,
because serving uses less of a device; :class:`Hardware` holds both shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalefit._arguments import check_count, check_quantity
from scalefit._text import known, several
from scalefit.errors import ArgumentError, arg
from scalefit.planning.allocation import SERVE, TRAIN, Allocation, for_loss, reach_loss
from scalefit.planning.loss_surface import surface_of, wall_of
from scalefit.predictor import predictor_of

if TYPE_CHECKING:
    import pandas as pd

#: Dense bfloat16 peak [FLOP/s] of a device (fp16 for V100, without sparsity), from its maker's data sheet.
DEVICES = {
    "v100": 125e12,
    "a100": 312e12,
    "h100": 989e12,
    "h200": 989e12,
    "b200": 2250e12,
    "tpu_v4": 275e12,
    "tpu_v5e": 197e12,
    "tpu_v5p": 459e12,
}


@dataclass(frozen=True, slots=True)
class Hardware:
    """Devices that train and serve, and what they cost.

    Parameters
    ----------
    peak : float
        Peak of one device [FLOP/s].
    mfu : float
        Share of the peak that training reaches (model FLOP utilisation).
    serving_mfu : float, optional
        Share of the peak that serving reaches; as `mfu` by default. Decoding often reaches a tenth of it.
    price : float, optional
        Price of a device-hour [money/hour].
    serving_price : float, optional
        Price of a device-hour for serving; as `price` by default.
    devices : int, optional
        Devices that train at once, for days of wall time.
    name : str
        Name of the device.
    currency : str
        Currency of the price, such as ``"USD"``; used in prints only.

    Examples
    --------
    >>> hardware = Hardware.named("h100", mfu=0.4, price=2.0, devices=1024)
    >>> round(hardware.hours(1e24)), round(hardware.days(1e24), 1), round(hardware.compute(money=1e6) / 1e24, 3)
    (702168, 28.6, 0.712)
    """

    peak: float
    mfu: float = 0.4
    serving_mfu: float | None = None
    price: float | None = None
    serving_price: float | None = None
    devices: int | None = None
    name: str = "device"
    currency: str = ""

    def __post_init__(self) -> None:
        for key in ("peak", "mfu", "serving_mfu", "price", "serving_price", "devices"):
            value = getattr(self, key)
            if value is not None:
                number = check_quantity(key, value)
                object.__setattr__(self, key, int(number) if key == "devices" and number == int(number) else number)
        for key in ("mfu", "serving_mfu"):
            value = getattr(self, key)
            if value is not None and value > 1:
                raise ArgumentError(
                    f"{arg(key, value)} is more than the device's peak",
                    "no hardware was made",
                    "Give a share, often 0.3 to 0.5",
                )
        if self.serving_price is not None and self.price is None:
            raise ArgumentError(
                f"{arg('serving_price', self.serving_price)} needs a price of training too",
                "no hardware was made",
                f"Pass {arg('price')} too",
            )

    @classmethod
    def named(cls, device: str, **options: Any) -> Hardware:
        """Devices by name, one of `DEVICES`.

        Raises
        ------
        ArgumentError
            No device has this name.
        """
        name = str(device).lower()
        if name not in DEVICES:
            raise ArgumentError(
                f"There is no device {device!r} in the list",
                "nothing was computed",
                f"{known(device, DEVICES)}; or give the {arg('peak')} of one device in FLOP/s",
            )
        return cls(DEVICES[name], name=name, **options)

    def hours(self, training: float, serving: float = 0.0) -> float:
        """Device-hours of training and serving compute [FLOP]."""
        return training / (self.peak * self.mfu * 3600) + serving / (self.peak * self._serving_share * 3600)

    def days(self, training: float) -> float | None:
        """Days of wall time on all devices; None where their number is not known."""
        return None if self.devices is None else self.hours(training) / self.devices / 24

    def money(self, training: float, serving: float = 0.0) -> float | None:
        """Price of training and serving compute [FLOP]; None without prices."""
        if self.price is None:
            return None
        served = self.price if self.serving_price is None else self.serving_price
        return self.hours(training) * self.price + self.hours(0.0, serving) * served

    def takes(self, training: float, serving: float = 0.0) -> str:
        """What this compute [FLOP] takes, in words."""
        of = "" if self.name == "device" else f" of {self.name}"
        parts = [f"{self.hours(training, serving):,.0f} device-hours{of} at {self.mfu:.0%} of peak"]
        if (days := self.days(training)) is not None:
            parts.append(f"{days:.3g} days on {several(int(self.devices or 0), 'device')}")
        if (money := self.money(training, serving)) is not None:
            parts.append(f"cost {money:,.0f} {self.currency or ''}".rstrip())
        return ", ".join(parts)

    def compute(self, *, hours: float | None = None, money: float | None = None) -> float:
        """Training compute [FLOP] that device-hours or money buy: the C to plan for.

        Raises
        ------
        ArgumentError
            Neither or both are given, or money without a price.
        """
        if (hours is None) == (money is None):
            raise ArgumentError(
                f"{arg('hours', hours)} and {arg('money', money)}: compute follows from one of them",
                "no compute was worked out",
                "Give one",
            )
        if money is not None:
            if self.price is None:
                raise ArgumentError(
                    f"{arg('money', money)} buys no hours, because a device-hour has no price here",
                    "nothing was computed",
                    f"Make the hardware with {arg('price')}",
                )
            hours = check_quantity("money", money) / self.price
        return check_quantity("hours", hours) * 3600 * self.peak * self.mfu

    @property
    def _serving_share(self) -> float:
        return self.mfu if self.serving_mfu is None else self.serving_mfu

    @property
    def serving_weight(self) -> float:
        """Cost of a served FLOP relative to a trained one: in money if there are prices, else in device-hours."""
        weight = self.mfu / self._serving_share
        if self.price is not None and self.serving_price is not None:
            weight *= self.serving_price / self.price
        return weight


def as_hardware(hardware: Hardware | str | None) -> Hardware | None:
    """Devices from a name, or as they are."""
    return hardware if hardware is None or isinstance(hardware, Hardware) else Hardware.named(hardware)


def frontier(
    result: Any,
    loss: float,
    *,
    unique_tokens: float | None = None,
    hardware: Hardware | str | None = None,
    series: str | None = None,
    n: int = 25,
) -> pd.DataFrame:
    """Pareto frontier of training cost against serving cost at one loss.

    Parameters
    ----------
    result : FitResult, PublishedLaw, or anything that predicts
        The law.
    loss : float
        Loss that every plan on the frontier reaches [nat/token]; as the result predicts it.
    unique_tokens : float or str, optional
        Distinct tokens available [tokens].
    hardware : Hardware or str, optional
        Devices, for the price of a served FLOP and for device-hours.
    series : str, optional
        Which series, for fits with ``by="shared"``.
    n : int
        Plans on the frontier, at least 2.

    Returns
    -------
    DataFrame
        One row per plan, from the cheapest to train to the cheapest to serve: ``inference_tokens`` for which it is the
        cheapest of all [tokens], ``N``, ``D``, ``tokens_per_param``, ``C`` to train [FLOP], ``serving_per_token``
        [FLOP], ``extra_training`` (C over the least C, less 1), and ``device_hours`` with hardware.

    Raises
    ------
    ArgumentError
        The law never reaches this loss.

    Examples
    --------
    >>> import scalefit as sf
    >>> plans = frontier(sf.published("chinchilla", "besiroglu2024"), loss=2.0, n=5)
    >>> bool(plans["N"].is_monotonic_decreasing and plans["C"].is_monotonic_increasing)
    True
    """
    import pandas as pd

    devices = as_hardware(hardware)
    weight = 1.0 if devices is None else devices.serving_weight
    loss = check_quantity("loss", loss)
    wall = None if unique_tokens is None else check_quantity("unique_tokens", unique_tokens)
    predictor = predictor_of(result)
    surface = surface_of(result, series=series, unique_tokens=wall_of(predictor, wall)).first()

    def cheapest(served: float) -> Allocation:
        return reach_loss(predictor, surface, series, loss, lambda value: for_loss(surface, value, served))[0]

    least = cheapest(0.0)
    if not np.isfinite(least.cost[0]):
        raise ArgumentError(
            f"{arg('loss', shown=f'{loss:.6g}')} lies at or below what the law ever reaches",
            "no frontier was made",
            "Ask for a higher loss",
        )
    served = np.concatenate([[0.0], np.geomspace(0.1, 1000.0, check_count("n", n, least=2) - 1) * least.D[0]])
    plans = [cheapest(float(tokens * weight)) for tokens in served]
    N, D = np.array([p.N[0] for p in plans]), np.array([p.D[0] for p in plans])
    table = pd.DataFrame({"inference_tokens": served, "N": N, "D": D, "tokens_per_param": D / N})
    table["C"], table["serving_per_token"] = TRAIN * N * D, SERVE * N
    table["extra_training"] = table["C"] / least.cost[0] - 1
    if devices is not None:
        table["device_hours"] = [devices.hours(c) for c in table["C"]]
    finite: pd.DataFrame = table.loc[np.isfinite(table["N"])]
    return finite.reset_index(drop=True)
