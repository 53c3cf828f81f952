"""What one run is: a model, a corpus, an optimiser, a schedule, and how it is computed."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from scalefit.training._config import Config, Flag, Number, Several, Text, Whole
from scalefit.training.presets import preset_fields

#: Part of every run's identity: raised when the same config would no longer give the same numbers.
SCHEMA = 2


@dataclass(frozen=True)
class ModelConfig(Config):
    """A decoder-only transformer.

    Parameters
    ----------
    family : {"gpt2", "vanilla", "llama", "moe", "huggingface"}
        ``gpt2``: learned positions, norm before each block, GELU. ``vanilla``: the 2017 transformer as a
        decoder: sinusoidal positions, embeddings times sqrt(d_emb), norm after each block, ReLU. ``llama``: RMS norms,
        rotary positions, SwiGLU, no biases. ``moe``: the same with a mixture of SwiGLU experts, routed as in Mixtral.
    n_layers, d_emb, n_heads, T_max : int
        Layers, embedding width, attention heads, context length [tokens].
    d_ff : int, optional
        Width of the feed-forward layer, or of one expert; default four times `d_emb`, and 8/3 of it, up to a multiple
        of 32, if it is gated.
    vocab_size : int, optional
        Vocabulary; by default that of the corpus.
    tied : bool
        Whether the input embedding is also the output matrix.
    dropout : float
        Dropout of embeddings, attention and residual branches.
    head_bias : bool
        Whether the output has a bias (it has in Murty et al.'s code).
    path : str, optional
        A local folder or ``config.json`` of a transformers causal LM instead of the families above; its own
        sizes are used and ``family`` is ``"huggingface"``.
    n_kv_heads : int, optional
        Heads of keys and values, each shared by ``n_heads / n_kv_heads`` query heads (Ainslie et al. 2023,
        arXiv:2305.13245); default `n_heads`.
    qk_norm : bool
        RMS norm of each query and key (Dehghani et al. 2023, arXiv:2302.05442).
    rope_base, norm_eps : float
        Base of the rotary angles; the epsilon of RMS norms.
    soft_cap : float, optional
        Logits pass through ``soft_cap * tanh(logits / soft_cap)``.
    n_experts, top_k, n_shared_experts : int
        Experts of a layer, how many each token is routed to, and those that every token uses beside them.
    base_width, base_depth : int, optional
        Maximal-update parametrisation (Yang et al. 2022, arXiv:2203.03466): initial weights, rates and the output are
        those of a model `base_width` wide, scaled so that the best learning rate does not move with `d_emb`.
        `base_depth` also scales the branches by ``sqrt(base_depth / n_layers)`` (Yang et al. 2023, arXiv:2310.02244).
    """

    family: Literal["gpt2", "vanilla", "llama", "moe", "huggingface"] = "gpt2"
    n_layers: Whole = 2
    d_emb: Whole = 64
    n_heads: Whole = 2
    T_max: Whole = 128
    d_ff: Whole | None = None
    vocab_size: Whole | None = None
    tied: Flag = True
    dropout: Number = 0.0
    head_bias: Flag = False
    path: Text | None = None
    n_kv_heads: Whole | None = None
    qk_norm: Flag = False
    rope_base: Number = 10_000.0
    norm_eps: Number = 1e-5
    soft_cap: Number | None = None
    n_experts: Whole | None = None
    top_k: Whole = 2
    n_shared_experts: Whole = 0
    base_width: Whole | None = None
    base_depth: Whole | None = None

    def __post_init__(self) -> None:
        sizes = ("n_layers", "d_emb", "n_heads", "T_max", "d_ff", "vocab_size", "n_kv_heads", "n_experts", "top_k")
        for name in (*sizes, "base_width", "base_depth"):
            self._check(getattr(self, name) is None or getattr(self, name) >= 1, name, "a positive whole number")
        self._check(self.d_emb % self.n_heads == 0, "d_emb", f"a multiple of n_heads = {self.n_heads}")
        self._check(self.family != "vanilla" or self.d_emb % 2 == 0, "d_emb", "even for the vanilla family")
        self._check(0 <= self.dropout < 1, "dropout", "in [0, 1)")
        self._check((self.family == "huggingface") == (self.path is not None), "path", "set for huggingface only")
        self._check(self.n_heads % self.kv_heads == 0, "n_kv_heads", f"a divisor of n_heads = {self.n_heads}")
        modern = self.is_modern
        self._check(not modern or self.d_head % 2 == 0, "d_emb", "an even multiple of n_heads: rotary angles are pairs")
        self._check(modern or not self.qk_norm, "qk_norm", "false but for the families llama and moe")
        self._check(self.soft_cap is None or self.soft_cap > 0, "soft_cap", "positive, or absent")
        self._check(self.norm_eps > 0 and self.rope_base > 1, "rope_base", "above 1, with a positive norm_eps")
        self._check((self.family == "moe") == (self.n_experts is not None), "n_experts", "set for the family moe only")
        self._check(self.n_experts is None or self.top_k <= self.n_experts, "top_k", "at most n_experts")
        self._check(self.n_shared_experts >= 0, "n_shared_experts", "0 or more")
        own = self.family != "huggingface"
        self._check(own or self.base_width is None, "base_width", "absent for transformers models")
        self._check(self.base_depth is None or self.base_width is not None, "base_depth", "absent without base_width")

    @property
    def is_modern(self) -> bool:
        """Whether the family has RMS norms, rotary positions and gated layers without biases."""
        return self.family in ("llama", "moe")

    @property
    def ff_width(self) -> int:
        """Width of the feed-forward layer, or of one expert."""
        if self.d_ff is not None:
            return self.d_ff
        return -(-8 * self.d_emb // 96) * 32 if self.is_modern else 4 * self.d_emb

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.n_kv_heads or self.n_heads

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.d_emb // self.n_heads

    @property
    def width_ratio(self) -> float:
        """Width over the base width; 1 in the usual parametrisation."""
        return self.d_emb / self.base_width if self.base_width else 1.0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build from a mapping; ``preset`` names a model whose fields the other keys replace."""
        values = dict(values)
        name = values.pop("preset", None)
        return super().from_dict({**({} if name is None else preset_fields(name)), **values})


@dataclass(frozen=True)
class CorpusConfig(Config):
    """Where the tokens come from.

    Parameters
    ----------
    source : {"stdlib", "question_formation", "markov", "facts", "files", "ids"}
        The Python standard library's source; lines of the Question-Formation grammar; a Markov source; facts under
        Zipf's law; text, JSONL or parquet files; ids (``.npy``, or ``.bin`` of uint16). A file of text is one document;
        if it is the only one its paragraphs are, and with ``packing="line"`` every line is.
    path : str, optional
        File, folder or glob for ``files`` and ``ids``.
    tokenizer : str
        ``byte``, ``bpe:V`` (trained on the training documents), ``words``, ``hf:/local/path``. Markov sources, facts
        and ids need none.
    packing : {"stream", "line"}
        ``stream``: documents joined and cut into full contexts. ``line``: one document per row, padded,
        padding unscored.
    text_field : str
        The text column of JSONL and parquet.
    n_tokens : int
        Markov: training tokens to sample. Facts: facts to draw. Files and ids: most tokens to read (0: all).
    n_lines : int
        Question Formation: lines to sample, held-out lines included.
    mode : {"grammar", "mccoy"}
        Question Formation: the published grammar as it is, or reweighted to the marginals of the published data.
    order, n_states, branching : int
        Markov: order (1 to 3), vocabulary, possible next tokens per context. Facts: `n_states` values.
    n_keys, zipf : int, float
        Facts: keys, and the exponent of their frequency by rank.
    fraction : float
        Share of the training documents to use.
    val_fraction : float
        Share of documents held out, by the hash of the document.
    seed : int
        Seed of the sampled sources.
    """

    source: Literal["stdlib", "question_formation", "markov", "facts", "files", "ids"] = "stdlib"
    path: Text | None = None
    tokenizer: Text = "byte"
    packing: Literal["stream", "line"] = "stream"
    text_field: Text = "text"
    n_tokens: Whole = 0
    n_lines: Whole = 30_000
    mode: Literal["grammar", "mccoy"] = "grammar"
    order: Whole = 1
    n_states: Whole = 64
    branching: Whole = 8
    n_keys: Whole = 65_536
    zipf: Number = 1.5
    fraction: Number = 1.0
    val_fraction: Number = 0.02
    seed: Whole = 0

    def __post_init__(self) -> None:
        self._check((self.source in ("files", "ids")) <= bool(self.path), "path", "set for files and ids")
        self._check(0 < self.fraction <= 1, "fraction", "in (0, 1]")
        self._check(0 < self.val_fraction < 1, "val_fraction", "in (0, 1)")
        self._check(1 <= self.order <= 3, "order", "1, 2 or 3")
        self._check(2 <= self.n_states <= 65_536, "n_states", "between 2 and 65,536")
        self._check(2 <= self.branching <= self.n_states, "branching", "between 2 and n_states")
        self._check(self.n_lines >= 2, "n_lines", "at least 2")
        self._check(self.n_keys >= 2 and 0 <= self.zipf < 100, "n_keys", "at least 2, with a zipf in [0, 100)")
        self._check(self.n_tokens >= 0, "n_tokens", "0 or more")


#: What the rates of an optimiser may be set apart for.
RATE_GROUPS = ("embedding", "head", "matrix", "vector")


@dataclass(frozen=True)
class OptimizerConfig(Config):
    """AdamW or Muon, with decoupled weight decay on matrices only.

    Parameters
    ----------
    name : {"adamw", "muon"}
        ``adamw``: Loshchilov & Hutter (2019, arXiv:1711.05101). ``muon``: the matrices of the blocks are moved by their
        momentum made orthogonal, scaled to the size of an AdamW step (Liu et al. 2025, arXiv:2502.16982), all else by
        AdamW.
    lr : float or tuple of float
        Peak learning rate; several make an ensemble.
    batch_size : int
        Sequences per step.
    beta1, beta2, eps : float
        AdamW's. `beta2` None means 0.99 below 128k tokens per step and 0.95 from there: small batches want the longer
        memory (Porian et al. 2024, arXiv:2406.19146).
    weight_decay : float
        Decoupled weight decay, on matrices and embeddings.
    clip : float
        Largest gradient norm of each member; larger gradients are scaled down.
    momentum : float
        Muon's.
    rates : mapping of str to float
        Rates of "embedding", "head", "matrix" (of the blocks) and "vector" relative to `lr`; 1 by default.
    z_loss : float
        Weight of the squared log of the softmax's normaliser (Chowdhery et al. 2022, arXiv:2204.02311). It is in the
        gradient only: reported losses stay cross-entropies.
    balance_loss, router_z_loss : float
        Weights of a mixture of experts' auxiliary losses, in the gradient only; of each micro-batch by itself.
    """

    name: Literal["adamw", "muon"] = "adamw"
    lr: Number | Annotated[tuple[Number, ...], Several] = 3e-3
    batch_size: Whole = 16
    beta1: Number = 0.9
    beta2: Number | None = None
    eps: Number = 1e-8
    weight_decay: Number = 0.1
    clip: Number = 1.0
    momentum: Number = 0.95
    rates: Mapping[str, Number] = field(default_factory=dict)
    z_loss: Number = 0.0
    balance_loss: Number = 0.01
    router_z_loss: Number = 0.001

    def __post_init__(self) -> None:
        self._check(len(self.lrs) > 0, "lr", "one or more rates")
        self._check(all(0 < lr < 10 for lr in self.lrs), "lr", "positive, and below 10")
        self._check(self.batch_size >= 1, "batch_size", "a positive whole number")
        self._check(self.clip > 0, "clip", "positive")
        self._check(0 <= self.beta1 < 1, "beta1", "in [0, 1)")
        self._check(self.beta2 is None or 0 < self.beta2 < 1, "beta2", "in (0, 1), or absent")
        self._check(0 <= self.momentum < 1, "momentum", "in [0, 1)")
        for name in ("weight_decay", "z_loss", "balance_loss", "router_z_loss"):
            self._check(getattr(self, name) >= 0, name, "0 or more")
        good = set(self.rates) <= set(RATE_GROUPS) and all(rate > 0 for rate in self.rates.values())
        self._check(good, "rates", f"positive numbers for some of {', '.join(RATE_GROUPS)}")

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
        Length of the warm-up [tokens]. Default min(N, smallest D / 5): long warm-ups spoil small runs (Porian et al.
        2024).
    cooldown : float
        Share of each D spent cooling down.
    shape : {"linear", "1-sqrt"}
        Shape of the cooldown.
    final : float
        Last rate, relative to the peak.
    """

    kind: Literal["wsd", "cosine", "constant"] = "wsd"
    tokens: Annotated[tuple[Whole, ...], Several] = (1_000_000,)
    warmup: Whole | None = None
    cooldown: Number = 0.2
    shape: Literal["linear", "1-sqrt"] = "1-sqrt"
    final: Number = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "tokens", tuple(sorted(set(self.tokens))))
        self._check(len(self.tokens) > 0 and self.tokens[0] > 0, "tokens", "one or more positive numbers")
        one = "one D for a cosine: a point inside a decaying schedule is not a finished run (use wsd)"
        self._check(self.kind != "cosine" or len(self.tokens) == 1, "tokens", one)
        self._check(self.warmup is None or self.warmup >= 0, "warmup", "0 or more, or absent")
        self._check(0 < self.cooldown < 1, "cooldown", "in (0, 1)")
        self._check(0 <= self.final < 1, "final", "in [0, 1)")


@dataclass(frozen=True)
class EvaluationConfig(Config):
    """Held-out tokens scored at each point (0: all), and log-spaced evaluations along a run."""

    tokens: Whole = 200_000
    curve_points: Whole = 16

    def __post_init__(self) -> None:
        self._check(self.tokens >= 0, "tokens", "0 (all) or more")
        self._check(self.curve_points >= 0, "curve_points", "0 or more")


@dataclass(frozen=True)
class RuntimeConfig(Config):
    """How it is computed. Only `dtype` can change the numbers, so only it is part of a run's identity.

    `micro_batch`: sequences per backward pass and member (0: the whole batch); a mixture of experts balances those that
    pass at once, so there it is part of the identity too. `checkpoint_every`: [s]. `dtype` ``auto`` is float32 on CPU
    and bfloat16 on CUDA (weights and their updates stay float32). On CUDA float32 products use TF32 unless `dtype` is
    ``float32``. `step` ``auto`` is eager on CPU; on CUDA a long run first times eager, compiled and ``graph`` (CUDA
    graphs) passes on its own shape. `log`: writers of the curve beside the store, any of ``tensorboard`` and ``wandb``
    (offline). `keep_weights`: leave those of the last point in the run's folder, for :func:`load_trained`. `parallel`:
    how processes of ``torchrun`` share a run: ``ddp``, or ``fsdp`` (torch's ``fully_shard``: each holds a part of every
    parameter, gradient and moment); each can resume from the other's checkpoint.
    """

    device: Text = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    step: Literal["auto", "eager", "compile", "graph"] = "auto"
    micro_batch: Whole = 0
    checkpoint_every: Number = 60.0
    log: Annotated[tuple[Literal["tensorboard", "wandb"], ...], Several] = ()
    keep_weights: Flag = False
    parallel: Literal["ddp", "fsdp"] = "ddp"

    def __post_init__(self) -> None:
        self._check(self.parallel == "ddp" or self.step != "graph", "step", "auto, eager or compile with fsdp")
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
    seeds: Annotated[tuple[Whole, ...], Several] = (0,)
    series: Text = "run"
    purpose: Literal["point", "lr_probe"] = "point"

    def __post_init__(self) -> None:
        self._check(len(self.seeds) > 0, "seeds", "one or more whole numbers")

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
        parts, identity = self.runtime.micro_batch, {**self.changes(), "dtype": self.runtime.dtype}
        identity.pop("runtime", None)
        if self.model.family == "moe" and self.optimizer.balance_loss and 0 < parts < self.optimizer.batch_size:
            identity["micro_batch"] = parts
        text = json.dumps([SCHEMA, corpus_sha, identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
