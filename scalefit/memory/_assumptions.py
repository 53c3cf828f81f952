"""The words of a loss floor: what it assumed, and how it prints."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

from scalefit._text import PAGE, count

_REGIMES = {
    "under_filled": "fewer patterns than the memory has room for",
    "balanced": "as many patterns as the memory has room for",
    "over_filled": "more patterns than the memory has room for",
}


def assumptions(
    floor: Mapping[str, Any],
    context: float,
    convention: str,
    dimension: str,
    radius: str | float,
    patterns: str = "replicated",
) -> tuple[str, ...]:
    """Return every assumption behind the numbers, one sentence each."""
    exact, split = convention == "exact", patterns == "split"
    n_text = "T_max d_emb" if dimension == "sequence" else "d_emb"
    radius_text = {
        "volume": "sqrt(n / 2 pi e), at which a ball has a volume of order 1; it was not measured",
        "critical": "the critical one, at which Z = 1; it was solved for, not measured",
    }.get(str(radius), "as given")
    return (
        f"Every training sequence of {context:g} tokens is one stored pattern (Assumption 1): d = D / T_max = "
        f"{floor['n_patterns']:.4g}. D counts distinct tokens; repeating them stores nothing new.",
        "The patterns are split over the layers (patterns='split', section 4.1): each stores d / n_layers of them."
        if split
        else "Every layer stores all d patterns (patterns='replicated'); with d / n_layers in each, as in section 4.1, "
        "log Z is lower by log(n_layers).",
        f"A pattern has n = {n_text} = {floor['dim']:.4g} dimensions (dimension={dimension!r}).",
        f"Patterns are well separated (Assumption 3): disjoint balls of one radius "
        f"r = {floor['radius']:.5g}, {radius_text}.",
        f"Z lies within eq. 13 {'as corrected, e^(-r^2)' if exact else 'as printed, e^(-r)'} d V_n(r) <= Z <= d V_n(r)"
        f"{'' if exact else '; the printed lower side can exceed the true Z'}.",
        "L = log Z + 1/Z"
        + (", plus up to log(n_layers) as printed" if not exact else ", plus log(n_layers)" if split else "")
        + " (Prop. 4) in nats per token of the tokenizer in use. 1/Z reads a layer's energy as a density and log Z as "
        "a squared distance; neither reading alone has a floor of 1, which is a hypothesis.",
        "The model is not severely over-parameterised (Remarks 1 and 2); a memoriser's floor is the entropy of its "
        f"samples, here {floor['memoriser_loss']:.4g} nat/token for d equally likely sequences.",
    )


def allowed(lower: float, upper: float) -> str:
    """Return the losses that the bounds of Z allow, in words."""
    if math.isinf(lower):
        return "none below a float's range: Z is too small"
    if math.isinf(upper):
        return f"{lower:.4g} nat/token or more: no upper limit"
    return f"{lower:.4g} to {upper:.4g} nat/token"


def describe(floor: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return the text that a `Floor` prints, with the regime under the other reading of the patterns."""
    no_information = floor["log_z_lower"] < -700.0
    at_lower = (
        "infinite: the lower bound of Z carries no information"
        if no_information
        else f"{floor['loss_at_z_lower']:.4g} nat/token"
    )
    params = (
        "not defined at this radius"
        if math.isnan(floor["balanced_params"])
        else f"{count(floor['balanced_params'])} parameters for this D"
    )
    tokens = (
        f"{count(floor['balanced_tokens'])} tokens for this shape"
        if floor["balanced_tokens"] >= floor["T_max"]
        else "less than one sequence: no data balance this shape at this radius"
    )
    counted = "with embeddings" if floor["vocab_size"] is not None else "blocks only"
    split = floor["patterns"] == "split"
    here, there = ("d / n_layers per layer", "d in every layer") if split else ("d in every layer", "d / n_layers each")
    shape = f"{floor['n_layers']} layers, d_emb {floor['d_emb']}, T_max {floor['T_max']}"
    rows = [
        ("plan", f"N {count(floor['N'])}, D {count(floor['D'])}, {shape}"),
        (
            "memory",
            f"{floor['n_patterns']:.4g} patterns of dimension {floor['dim']}, "
            f"radius {floor['radius']:.5g} ({floor['radius_kind']})",
        ),
        ("log Z", f"{floor['log_z_lower']:.6g} to {floor['log_z_upper']:.6g}; {floor['log_z']:.6g} by eq. 12"),
        ("loss allowed", allowed(floor["loss_lower"], floor["loss_upper"])),
        ("at the lower Z", at_lower),
        ("at the upper Z", f"{floor['loss_at_z_upper']:.4g} nat/token"),
        ("regime", f"{floor['regime']}: {_REGIMES[floor['regime']]} ({here})"),
        ("other reading", f"{other['regime']}: log Z at most {float(other['log_z_upper']):.4g} ({there})"),
        ("balanced D*", tokens),
        ("balanced N*", params),
        ("architecture", f"{count(floor['implied_params'])} parameters ({counted})"),
        ("a memoriser", f"{floor['memoriser_loss']:.4g} nat/token at least"),
    ]
    lines = [f"Loss floor of a plan, associative-memory theory ({floor['convention']} formulas): a hypothesis"]
    lines += [f"  {name:<15}{text}" for name, text in rows]
    depends = "D, d_emb, T_max and n_layers" if split or floor["convention"] == "paper" else "D, d_emb and T_max alone"
    also = "N" if "n_layers" in depends else "N and n_layers"
    lines += [_wrapped(f"These losses depend on {depends}; {also} do{'es' if also == 'N' else ''} not enter them.")]
    lines += ["Assumed", *(_wrapped(f"- {sentence}") for sentence in floor["assumptions"])]
    if floor["notes"]:
        lines += ["Notes", *(_wrapped(str(note)) for note in floor["notes"])]
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, PAGE, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
