"""What one run is: plain frozen dataclasses, so that a worker needs neither pydantic nor a config system.

The same classes are checked strictly by pydantic where a person writes them (:mod:`.config_files`).
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar, get_type_hints

from scalefit.errors import ArgumentError
from scalefit.training._field_types import Misfit, fitted, said

#: Part of every run's identity: raised when the same config would no longer give the same numbers.
SCHEMA = 1

ConfigT = TypeVar("ConfigT", bound="Config")


@dataclass(frozen=True)
class Config:
    """Base of the config classes: unknown keys are refused with the nearest known name."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __init_subclass__(cls) -> None:
        """Have the types of the fields looked at before the config's own checks, which compare them."""
        own = cls.__dict__.get("__post_init__", lambda self: None)

        def checked(self: Config) -> None:
            self._fit_types()
            own(self)

        cls.__post_init__ = checked  # type: ignore[attr-defined]  # which @dataclass calls

    def _fit_types(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, fitted(value, hint))
            except Misfit:
                self._check(False, name, said(hint))

    @classmethod
    def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
        """Build the config from nested mappings, as read from TOML or JSON."""
        known = {item.name for item in fields(cls)}
        hints = _hints(cls)
        built: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(sorted(known))}."
                raise ArgumentError(f"{cls.__name__} got an unknown field {key!r}; nothing was run. {hint}")
            kind = hints[key]
            if isinstance(kind, type) and issubclass(kind, Config) and isinstance(value, Mapping):
                value = kind.from_dict(value)
            built[key] = tuple(value) if isinstance(value, list) else value
        return cls(**built)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values (tuples as lists)."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    def _check(self, good: bool, name: str, allowed: str) -> None:
        if not good:
            raise ArgumentError(
                f"{type(self).__name__}.{name} = {getattr(self, name)!r}; nothing was run. Make it {allowed}."
            )


def _hints(cls: type[Config]) -> dict[str, Any]:
    """Types of a config's fields."""
    every = get_type_hints(cls)
    return {item.name: every[item.name] for item in fields(cls)}


@dataclass(frozen=True)
class ModelConfig(Config):
    """A decoder-only transformer.

    Parameters
    ----------
    family : {"gpt2", "vanilla"}
        ``gpt2``: learned positions, norm before each block, GELU. ``vanilla``: the 2017 transformer as a
        decoder: sinusoidal positions, embeddings times sqrt(d_emb), norm after each block, ReLU.
    n_layers, d_emb, n_heads, T_max : int
        Layers, embedding width, attention heads, context length [tokens].
    d_ff : int, optional
        Width of the feed-forward layer; default four times `d_emb`.
    vocab_size : int, optional
        Default: the corpus decides.
    tied : bool
        Input embedding and output matrix are one.
    dropout : float
        On embeddings, attention and residual branches.
    head_bias : bool
        A bias on the output (Murty et al.'s code has one).
    path : str, optional
        A local folder or ``config.json`` of a transformers causal LM instead of the families above; its own
        sizes then hold and ``family`` is ``"huggingface"``.
    """

    family: Literal["gpt2", "vanilla", "huggingface"] = "gpt2"
    n_layers: int = 2
    d_emb: int = 64
    n_heads: int = 2
    T_max: int = 128
    d_ff: int | None = None
    vocab_size: int | None = None
    tied: bool = True
    dropout: float = 0.0
    head_bias: bool = False
    path: str | None = None

    def __post_init__(self) -> None:
        self._check(self.family in ("gpt2", "vanilla", "huggingface"), "family", "gpt2, vanilla or huggingface")
        for name in ("n_layers", "d_emb", "n_heads", "T_max", "d_ff", "vocab_size"):
            self._check(getattr(self, name) is None or getattr(self, name) >= 1, name, "a positive whole number")
        self._check(self.d_emb % self.n_heads == 0, "d_emb", f"a multiple of n_heads = {self.n_heads}")
        self._check(self.family != "vanilla" or self.d_emb % 2 == 0, "d_emb", "even for the vanilla family")
        self._check(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        self._check((self.family == "huggingface") == (self.path is not None), "path", "set for huggingface only")

    @property
    def ff_width(self) -> int:
        """Width of the feed-forward layer."""
        return self.d_ff or 4 * self.d_emb

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build from a mapping; ``preset`` names a starting point that the other keys change."""
        values = dict(values)
        name = values.pop("preset", None)
        if name is None:
            return super().from_dict(values)
        from scalefit.training.models import preset

        return super().from_dict({**preset(name).to_dict(), **values})


@dataclass(frozen=True)
class CorpusConfig(Config):
    """Where the tokens come from.

    Parameters
    ----------
    source : {"stdlib", "question_formation", "markov", "files", "ids"}
        The Python standard library's source; lines of the Question-Formation grammar; a Markov source;
        text, JSONL or parquet files; already tokenised ids (``.npy`` or ``.bin`` of uint16). A file of text is one
        document; if it is the only one its paragraphs are, and with ``packing="line"`` every line is.
    path : str, optional
        File, folder or glob for ``files`` and ``ids``.
    tokenizer : str
        ``byte``, ``bpe:V`` (trained on the training documents), ``words``, ``hf:/local/path``. Markov
        sources and ids need none.
    packing : {"stream", "line"}
        ``stream``: documents joined and cut into full contexts. ``line``: one document a row, padded,
        padding unscored.
    text_field : str
        The text column of JSONL and parquet.
    n_tokens : int
        Markov: training tokens to sample. Files and ids: at most so many (0: all).
    n_lines : int
        Question Formation: lines to sample, held-out ones included.
    mode : {"grammar", "mccoy"}
        Question Formation: the published grammar as it is, or reweighted to the marginals of the published
        data.
    order, n_states, branching : int
        Markov: order (1 to 3), vocabulary, possible next tokens per context.
    fraction : float
        Share of the training documents that is used.
    val_fraction : float
        Share of documents held out, by the hash of the document.
    seed : int
        Of the sampled sources.
    """

    source: Literal["stdlib", "question_formation", "markov", "files", "ids"] = "stdlib"
    path: str | None = None
    tokenizer: str = "byte"
    packing: Literal["stream", "line"] = "stream"
    text_field: str = "text"
    n_tokens: int = 0
    n_lines: int = 30_000
    mode: Literal["grammar", "mccoy"] = "grammar"
    order: int = 1
    n_states: int = 64
    branching: int = 8
    fraction: float = 1.0
    val_fraction: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        sources = ("stdlib", "question_formation", "markov", "files", "ids")
        self._check(self.source in sources, "source", f"one of {', '.join(sources)}")
        self._check(self.packing in ("stream", "line"), "packing", "stream or line")
        self._check(self.mode in ("grammar", "mccoy"), "mode", "grammar or mccoy")
        self._check((self.source in ("files", "ids")) <= bool(self.path), "path", "set for files and ids")
        self._check(0 < self.fraction <= 1, "fraction", "in (0, 1]")
        self._check(0 < self.val_fraction < 1, "val_fraction", "in (0, 1)")
        self._check(1 <= self.order <= 3, "order", "1, 2 or 3")
        self._check(2 <= self.n_states <= 65_536, "n_states", "between 2 and 65,536")
        self._check(2 <= self.branching <= self.n_states, "branching", "between 2 and n_states")
        self._check(self.n_lines >= 2, "n_lines", "at least 2")
        self._check(self.n_tokens >= 0, "n_tokens", "0 or more")


@dataclass(frozen=True)
class OptimizerConfig(Config):
    """AdamW with decoupled weight decay on matrices only (Loshchilov & Hutter 2019, arXiv:1711.05101).

    `beta2` None means 0.99 below 128k tokens a step and 0.95 from there: small batches want the longer memory
    (Porian et al. 2024, arXiv:2406.19146). `batch_size` counts sequences; `clip` bounds each member's
    gradient norm.
    """

    lr: float | tuple[float, ...] = 3e-3
    batch_size: int = 16
    beta1: float = 0.9
    beta2: float | None = None
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0

    def __post_init__(self) -> None:
        self._check(len(self.lrs) > 0, "lr", "one or more rates")
        self._check(all(0 < lr < 10 for lr in self.lrs), "lr", "positive, and below 10")
        self._check(self.batch_size >= 1, "batch_size", "a positive whole number")
        self._check(self.clip > 0, "clip", "positive")
        self._check(self.weight_decay >= 0, "weight_decay", "0 or more")
        self._check(0 <= self.beta1 < 1, "beta1", "in [0, 1)")
        self._check(self.beta2 is None or 0 < self.beta2 < 1, "beta2", "in (0, 1), or absent")

    @property
    def lrs(self) -> tuple[float, ...]:
        """The peak learning rates; several make an ensemble."""
        return (self.lr,) if isinstance(self.lr, (int, float)) else tuple(self.lr)


@dataclass(frozen=True)
class ScheduleConfig(Config):
    """Learning-rate schedule over tokens.

    Parameters
    ----------
    kind : {"wsd", "cosine", "constant"}
        ``wsd``: one trunk at the peak rate, and a cooldown branch for each entry of `tokens` (Hägele et al.
        2024, arXiv:2405.18392). ``cosine``: decays exactly over its one D. ``constant``: a point at each D,
        no decay.
    tokens : tuple of int
        The D of each point [tokens], rounded to whole steps.
    warmup : int, optional
        [tokens]. Default min(N, a fifth of the smallest D): long warm-ups spoil small runs (Porian et al.
        2024).
    cooldown : float
        Share of each D spent cooling down.
    shape : {"linear", "1-sqrt"}
        Of the cooldown.
    final : float
        Last rate over the peak.
    """

    kind: Literal["wsd", "cosine", "constant"] = "wsd"
    tokens: tuple[int, ...] = (1_000_000,)
    warmup: int | None = None
    cooldown: float = 0.2
    shape: Literal["linear", "1-sqrt"] = "1-sqrt"
    final: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.tokens, (int, float)):
            object.__setattr__(self, "tokens", (int(self.tokens),))
        object.__setattr__(self, "tokens", tuple(sorted({int(tokens) for tokens in self.tokens})))
        self._check(self.kind in ("wsd", "cosine", "constant"), "kind", "wsd, cosine or constant")
        self._check(self.shape in ("linear", "1-sqrt"), "shape", "linear or 1-sqrt")
        self._check(len(self.tokens) > 0 and self.tokens[0] > 0, "tokens", "one or more positive numbers")
        self._check(
            self.kind != "cosine" or len(self.tokens) == 1,
            "tokens",
            "one D for a cosine: a point inside a decaying schedule is not a finished run (use wsd)",
        )
        self._check(self.warmup is None or self.warmup >= 0, "warmup", "0 or more, or absent")
        self._check(0 < self.cooldown < 1, "cooldown", "in (0, 1)")
        self._check(0 <= self.final < 1, "final", "in [0, 1)")


@dataclass(frozen=True)
class EvaluationConfig(Config):
    """Held-out tokens scored at each point (0: all), and log-spaced evaluations along a run."""

    tokens: int = 200_000
    curve_points: int = 16

    def __post_init__(self) -> None:
        self._check(self.tokens >= 0, "tokens", "0 (all) or more")
        self._check(self.curve_points >= 0, "curve_points", "0 or more")


@dataclass(frozen=True)
class RuntimeConfig(Config):
    """How it is computed. Only `dtype` can change the numbers, so only it is part of a run's identity.

    `step` ``auto`` is eager on CPU; on CUDA a run of some length first times eager, compiled and ``graph`` passes
    (compiled with CUDA graphs: torch's ``reduce-overhead``) on its own shape and takes the fastest.
    `micro_batch`: sequences per backward pass and member (0: the whole batch). `checkpoint_every`: [s].
    `keep_weights`: leave the weights of the last point in the run's folder, for :func:`load_trained`.
    """

    device: str = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    step: Literal["auto", "eager", "compile", "graph"] = "auto"
    micro_batch: int = 0
    checkpoint_every: float = 60.0
    keep_weights: bool = False

    def __post_init__(self) -> None:
        self._check(self.dtype in ("float32", "bfloat16"), "dtype", "float32 or bfloat16")
        self._check(self.step in ("auto", "eager", "compile", "graph"), "step", "auto, eager, compile or graph")
        self._check(self.micro_batch >= 0, "micro_batch", "0 or more")


@dataclass(frozen=True)
class RunConfig(Config):
    """One training run: a model, a corpus, an optimiser, a schedule. The whole input of :func:`train`.

    Several `seeds` or learning rates train as one ensemble, each with its own initial weights; every member
    of another seed also sees the data in another order. `series` names the table's series.

    Examples
    --------
    >>> config = RunConfig(seeds=(0, 1), optimizer=OptimizerConfig(lr=(1e-3, 3e-3)))
    >>> config.members
    ((0.001, 0), (0.001, 1), (0.003, 0), (0.003, 1))
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    seeds: tuple[int, ...] = (0,)
    series: str = "run"
    purpose: Literal["point", "lr_probe"] = "point"

    def __post_init__(self) -> None:
        self._check(len(self.seeds) > 0, "seeds", "one or more whole numbers")
        self._check(self.purpose in ("point", "lr_probe"), "purpose", "point or lr_probe")

    @property
    def members(self) -> tuple[tuple[float, int], ...]:
        """(learning rate, seed) of each ensemble member."""
        return tuple(itertools.product(self.optimizer.lrs, self.seeds))

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimiser step of one member sees [tokens]."""
        return self.optimizer.batch_size * self.model.T_max

    def run_id(self, corpus_sha: str) -> str:
        """Twelve hex digits that name this config on this corpus; the device and checkpoints do not count."""
        identity = _without_none({**self.to_dict(), "runtime": {"dtype": self.runtime.dtype}})
        text = json.dumps([SCHEMA, corpus_sha, identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _without_none(value: Any) -> Any:
    """Drop absent fields, so that a new optional one does not rename every run."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
