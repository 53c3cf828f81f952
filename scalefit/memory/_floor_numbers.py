"""The numbers of a loss floor, for arrays of plans at once (section 5 of Niu et al. 2024)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalefit._typing import Array
from scalefit.memory import partition
from scalefit.memory._conventions import Convention, Dimension, Patterns, positive
from scalefit.memory.radius import critical_radius, volume_radius


def evaluate(
    plan: Mapping[str, Array],
    convention: Convention,
    dimension: Dimension,
    radius: str | float,
    patterns: Patterns = "replicated",
) -> dict[str, Any]:
    """Compute every number of a floor, for arrays of plans at once.

    With d/l patterns in each layer Z counts d/l balls, and the loss gains log l: of the layers' energies at a pattern
    only one is finite, while the partition function of all layers sums l equal parts. With d patterns in every layer
    both sides gain log l, and the terms cancel.
    """
    context, width, layers = plan["T_max"], plan["d_emb"], plan["n_layers"]
    n = width * context if dimension == "sequence" else width
    d = plan["D"] / context
    split = patterns == "split"
    stored = d / layers if split else d  # patterns of one layer
    r = _radius(radius, n, stored)
    log_volume = (
        partition.log_volume_at(n, np.zeros(n.shape))
        if isinstance(radius, str) and radius == "volume"
        else np.asarray(partition.log_ball_volume(n, r))
    )
    upper = np.log(stored) + log_volume
    with np.errstate(over="ignore"):
        lower = upper - (np.square(r) if convention == "exact" else r)
    at_upper, at_lower = np.asarray(partition.loss(upper)), np.asarray(partition.loss(lower))
    least = np.where((lower <= 0.0) & (upper >= 0.0), 1.0, np.where(upper < 0.0, at_upper, at_lower))
    layer_term = np.log(layers)
    extra_least = layer_term if split and convention == "exact" else 0.0
    extra_most = layer_term if split or convention == "paper" else 0.0
    known_vocab = ~np.isnan(plan["vocab_size"])
    inner = np.where(np.isnan(plan["d_ff"]), 4.0 * width, plan["d_ff"])
    embeddings = np.where(known_vocab, (np.where(known_vocab, plan["vocab_size"], 0.0) + context) * width, 0.0)
    implied = layers * (4.0 * width**2 + 2.0 * width * inner + 9.0 * width + inner) + 2.0 * width + embeddings
    return {
        "loss_lower": least + extra_least,
        "loss_upper": np.maximum(at_lower, at_upper) + extra_most,  # log Z + 1/Z is convex in Z: largest at an end
        "loss_at_z_lower": at_lower + extra_most,
        "loss_at_z_upper": at_upper + extra_most,
        "log_z_lower": lower,
        "log_z_upper": upper,
        "log_z": np.log(stored) + np.asarray(partition.log_ball_integral(n, r, convention)),
        "regime": np.where(
            upper < math.log(0.99), "under_filled", np.where(upper > math.log(1.01), "over_filled", "balanced")
        ),
        "balanced_tokens": _balanced_tokens(radius, context, n, log_volume) * (layers if split else 1.0),
        "balanced_params": _balanced_params(radius, plan, 4.0 + 2.0 * inner / width, convention, split),
        "implied_params": implied,
        "memoriser_loss": np.log(d) / context,
        "n_patterns": d,
        "dim": n,
        "radius": r,
    }


def _radius(radius: str | float, n: Array, d: Array) -> Array:
    if radius == "volume":
        return np.asarray(volume_radius(n))
    if radius == "critical":
        return np.asarray(critical_radius(n, d))
    return np.broadcast_to(positive("radius", radius), n.shape)


def _balanced_tokens(radius: str | float, context: Array, n: Array, log_volume: Array) -> Array:
    if radius == "volume":
        return np.asarray(context * np.sqrt(n * math.pi))
    with np.errstate(over="ignore"):
        return np.asarray(context * np.exp(-log_volume))


def _balanced_params(
    radius: str | float, plan: Mapping[str, Array], A: Array, convention: Convention, split: bool
) -> Array:
    """Return N* from d = sqrt(n pi): n = D^2 / (pi T_max^2), and N = A l d_emb^2 with d_emb = n / T_max or as it is."""
    D, context = plan["D"] / (plan["n_layers"] if split else 1.0), plan["T_max"]
    if radius != "volume":
        return np.full(D.shape, np.nan)
    with np.errstate(over="ignore"):
        width = D**2 / (math.pi * context**3)
        return np.asarray(A * plan["n_layers"] * width * (plan["d_emb"] if convention == "paper" else width))
