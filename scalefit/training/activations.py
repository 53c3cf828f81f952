"""Last-layer activations and the distances between them: the measured radius of the associative-memory theory.

Niu et al. (2024, arXiv:2405.08707, section 6.1) take half the distance of a last-layer activation to its nearest
neighbour as the radius of a stored pattern, and compare it with sqrt(n / 2 pi e). This radius is not scale-invariant:
layer-norm gains set the scale, and independent Gaussian points of n dimensions sit about sigma sqrt(2 n) apart. So it
is reported before and after the final norm, relative to the RMS norm, and beside nulls without any language.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from scalefit.errors import ArgumentError
from scalefit.training.models.decoder import Decoder

Floats = npt.NDArray[np.float64]

#: Shares of the sample at which the paper draws its histograms.
SHARES = (0.25, 0.5, 0.75, 1.0)
#: Candidates from the fast single-precision pass that are compared again in double precision.
RERANKED = 8


def nearest_distances(points: npt.ArrayLike | torch.Tensor, device: str | None = None, block: int = 4096) -> Floats:
    """Exact distance of each point to its nearest other point.

    Distances come blockwise from ||x||^2 + ||y||^2 - 2xy in single precision, which cancels for near neighbours; the
    best few of each row are therefore measured again from the differences, in double precision. Where rounding could
    have hidden the nearest one behind those few, the row is compared with every point again, in double precision.

    Parameters
    ----------
    points : array_like, shape (n_points, n)
        At least two points, taken in single precision.
    device : str, optional
        Where to compute, such as ``"cuda"``; by default the CPU, or the device of `points`.
    block : int
        Rows and columns of a block.

    Returns
    -------
    ndarray, shape (n_points,)
        Distances, in units of `points`; 0 for a point that has a copy.

    Raises
    ------
    ArgumentError
        Fewer than two points, or numbers that are not finite.

    Examples
    --------
    >>> nearest_distances([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]]).tolist()
    [5.0, 1.0, 1.0]
    """
    x = torch.as_tensor(np.asarray(points) if not isinstance(points, torch.Tensor) else points, dtype=torch.float32)
    if x.dim() != 2 or len(x) < 2:
        raise ArgumentError(
            f"Nearest neighbours need two points or more in rows; got shape {tuple(x.shape)}",
            "nothing was measured",
            "Give an array of shape (n_points, n)",
        )
    if not torch.isfinite(x).all():
        n_bad = int((~torch.isfinite(x)).any(dim=1).sum())
        raise ArgumentError(
            f"{n_bad} of {len(x)} points hold NaN or infinity",
            "nothing was measured",
            "Drop them, or look for the divergence that made them",
        )
    x = x.to(device) if device is not None else x
    distances = torch.empty(len(x), dtype=torch.float64, device=x.device)
    allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False  # ten bits of mantissa would not do
    try:
        every = torch.arange(len(x), device=x.device)
        unsure = torch.cat([_measure(x, rows, block, torch.float32, distances) for rows in every.split(block)])
        for rows in unsure.split(block) if len(unsure) else ():
            _measure(x, rows, block, torch.float64, distances)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = allowed
    nearest: Floats = distances.cpu().numpy()
    return nearest


def _measure(
    x: torch.Tensor, rows: torch.Tensor, block: int, dtype: torch.dtype, distances: torch.Tensor
) -> torch.Tensor:
    """Fill in the nearest distance of some rows to all points; return the rows where `dtype` may have hidden it."""
    centre = x.mean(dim=0)  # smaller norms cancel less
    own = (x[rows] - centre).to(dtype)
    own_norms = torch.linalg.vector_norm(own, dim=1, dtype=torch.float64).square()
    largest = own_norms.new_zeros(())
    kept = min(RERANKED, len(x) - 1)
    best = torch.full((len(rows), kept), math.inf, dtype=dtype, device=x.device)
    index = torch.zeros((len(rows), kept), dtype=torch.long, device=x.device)
    for start, part in zip(range(0, len(x), block), x.split(block), strict=True):
        others = (part - centre).to(dtype)
        norms = torch.linalg.vector_norm(others, dim=1, dtype=torch.float64).square()
        largest = torch.maximum(largest, norms.max())
        squared = torch.addmm(norms.to(dtype)[None], own, others.T, alpha=-2.0)  # less the rows' own norms
        itself = torch.nonzero((rows >= start) & (rows < start + len(part))).flatten()
        squared[itself, rows[itself] - start] = math.inf
        values, places = squared.topk(min(kept, len(part)), largest=False)
        best, order = torch.cat([best, values], dim=1).topk(kept, largest=False)
        index = torch.cat([index, places + start], dim=1).gather(1, order)
    chosen = x[index].double() - x[rows].unsqueeze(1).double()  # (rows, kept, n)
    distances[rows] = chosen.square().sum(dim=-1).sqrt().amin(dim=1)
    if kept == len(x) - 1:
        return rows[:0]
    # |fl(xy) - xy| <= n u |x| |y| (Higham 2002, eq. 3.5); the second term is for centring and for rounding the norms
    unit = torch.finfo(dtype).eps / 2
    bound = 4 * (x.shape[1] + 2) * unit * (own_norms * largest).sqrt() + 16 * unit * largest
    unkept = best.amax(dim=1).double() + own_norms - bound  # no other point is nearer than this, squared
    return rows[distances[rows].square() > unkept]


@dataclass(frozen=True)
class RadiusReport:
    """Nearest-neighbour distances of one set of points.

    Attributes
    ----------
    name : str
        ``pre_norm``, ``post_norm`` or the name of a null.
    n_points, dim : int
        Points after duplicates were dropped, and their dimension n.
    distances : dict of float to ndarray
        Share of the sample to nearest-neighbour distances within it.
    rms_norm : float
        Root mean square length of a point.
    """

    name: str
    n_points: int
    dim: int
    distances: dict[float, Floats]
    rms_norm: float

    @property
    def median(self) -> float:
        """Median distance in the whole sample."""
        return float(np.median(self.distances[max(self.distances)]))

    @property
    def radius(self) -> float:
        """Half the median distance: the measured radius, for ``sf.loss_floor(radius=...)``."""
        return self.median / 2

    @property
    def volume_radius(self) -> float:
        """The radius of the theory, sqrt(n / 2 pi e)."""
        return math.sqrt(self.dim / (2 * math.pi * math.e))

    @property
    def intrinsic_dimension(self) -> float:
        """The k of median distance ~ points^(-1/k) over the shares; NaN for one share, infinite if it does not fall.

        Points that fill k dimensions come closer with their number M as M^(-1/k). The theory takes k = n and a radius
        that does not depend on the number of patterns, which is k = infinity.
        """
        if len(self.distances) < 2:
            return math.nan
        counts = np.log([len(values) for values in self.distances.values()])
        slope = float(np.polyfit(counts, np.log([np.median(values) for values in self.distances.values()]), 1)[0])
        return -1.0 / slope if slope < -1e-12 else math.inf

    def rows(self) -> list[dict[str, Any]]:
        """One row per share: points, n_points, mean, median, radius and its ratios, k of the whole sample."""
        return [
            {
                "points": self.name,
                "share": share,
                "n_points": len(values),
                "mean": float(values.mean()),
                "median": float(np.median(values)),
                "radius": float(np.median(values)) / 2,
                "radius_over_theory": float(np.median(values)) / 2 / self.volume_radius,
                "median_over_rms_norm": float(np.median(values)) / self.rms_norm,
                "intrinsic_dimension": self.intrinsic_dimension,
            }
            for share, values in self.distances.items()
        ]


def measure_radius(
    points: npt.ArrayLike,
    name: str = "points",
    shares: tuple[float, ...] = SHARES,
    device: str | None = None,
    seed: int = 0,
) -> RadiusReport:
    """Measure nearest-neighbour distances at growing shares of a sample.

    Copies of a point (repeated contexts) are dropped first: their distance of 0 says nothing about the model.

    Parameters
    ----------
    points : array_like, shape (n_points, n)
        Activations.
    name : str
        Name in the report.
    shares : tuple of float
        Shares of the shuffled sample.
    device : str, optional
        Where to compute.
    seed : int
        Seed of the shuffle.
    """
    kept = np.unique(np.asarray(points, np.float32), axis=0)
    kept = kept[np.random.default_rng(seed).permutation(len(kept))]
    if len(kept) * min(shares) < 2:
        raise ArgumentError(
            f"{len(kept)} distinct points are too few for a share of {min(shares):g}",
            "nothing was measured",
            "Give more contexts or a larger smallest share",
        )
    distances = {share: nearest_distances(kept[: round(share * len(kept))], device) for share in shares}
    rms = float(np.sqrt((kept.astype(np.float64) ** 2).sum(axis=1).mean()))
    return RadiusReport(name, len(kept), kept.shape[1], distances, rms)


def gaussian_null(points: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return Gaussian points with the mean and covariance of `points`."""
    x = np.asarray(points, np.float64)
    mean = x.mean(axis=0)
    _, scale, axes = np.linalg.svd(x - mean, full_matrices=False)
    noise = np.random.default_rng(seed).standard_normal((len(x), len(scale)))
    return np.asarray(mean + noise * (scale / math.sqrt(len(x))) @ axes, np.float32)


def shuffled_null(points: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return `points` with each coordinate shuffled over the points: same marginals, no joint structure."""
    x = np.array(points, np.float32)
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(column) for column in x.T], axis=1)


@torch.no_grad()
def collect_activations(
    model: Any, contexts: npt.NDArray[np.int64], batch: int = 32
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the last layer's activations at the last position of each context, which predicts the next token.

    Parameters
    ----------
    model : Decoder or transformers causal LM
        With several members, the first one is measured.
    contexts : ndarray of int64, shape (n_contexts, T)
        Tokens; repeated contexts are measured once.
    batch : int
        Contexts at a time.

    Returns
    -------
    dict
        ``pre_norm`` and ``post_norm``, each (n_distinct_contexts, d_emb): before and after the final norm.
    """
    distinct = torch.from_numpy(np.unique(contexts, axis=0))
    tapped = _tapped_decoder if isinstance(model, Decoder) else _tapped_transformers
    kept: dict[str, list[npt.NDArray[np.float32]]] = {"pre_norm": [], "post_norm": []}
    training = model.training
    model.eval()
    try:
        for part in tapped(model, distinct, batch):
            for name, values in part.items():
                kept[name].append(values.float().cpu().numpy())
    finally:
        model.train(training)
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def _tapped_decoder(model: Decoder, contexts: torch.Tensor, batch: int) -> Iterator[dict[str, torch.Tensor]]:
    device = next(model.parameters()).device
    for ids in contexts.split(batch):
        found = model(ids.to(device), taps=("pre_norm", "post_norm"))
        yield {name: values[0, :, -1] for name, values in found.items()}  # type: ignore[union-attr]


def _tapped_transformers(model: Any, contexts: torch.Tensor, batch: int) -> Iterator[dict[str, torch.Tensor]]:
    norm = _final_norm(model)
    seen: dict[str, torch.Tensor] = {}

    def hook(_: Any, inputs: Any, output: torch.Tensor) -> None:
        seen["pre_norm"], seen["post_norm"] = inputs[0][:, -1], output[:, -1]

    handle = norm.register_forward_hook(hook)
    try:
        for ids in contexts.split(batch):
            model(input_ids=ids.to(model.device), use_cache=False)
            yield dict(seen)
    finally:
        handle.remove()


def _final_norm(model: Any) -> Any:
    """Return the norm that transformers models apply after their last block, whatever it is called there."""
    names = ("ln_f", "norm", "final_layer_norm", "final_layernorm", "norm_f")
    for base in (model.base_model, getattr(model.base_model, "decoder", None)):
        for name in names:
            if base is not None and getattr(base, name, None) is not None:
                return getattr(base, name)
    raise ArgumentError(
        f"{type(model).__name__} has no final norm under the names {', '.join(names)}",
        "nothing was measured",
        "Give the activations to measure_radius yourself",
    )
