"""Parameter counts by group: released sizes, appendix D, and other people's modules."""

from __future__ import annotations

import pytest

from scalefit.counting import count_parameters
from scalefit.errors import ArgumentError


@pytest.mark.parametrize(
    ("layers", "width", "millions"), [(12, 768, 124.4), (24, 1024, 354.8), (36, 1280, 774.0), (48, 1600, 1557.6)]
)
def test_the_released_gpt2_sizes(layers, width, millions):
    counts = count_parameters(layers, width, T_max=1024, vocab_size=50257)
    assert counts.total / 1e6 == pytest.approx(millions, abs=0.05)
    assert counts.total == sum(counts.groups.values())
    assert counts.blocks + counts.token_embedding + counts.position == counts.total
    assert counts.non_embedding == counts.blocks


def test_appendix_d():
    """Three groups exactly; they sum to A = 10.0 where the paper says 15, 12.1 with embeddings, 14.1 as released."""
    printed = count_parameters(24, 1024, d_ff=3072, convention="paper")
    assert (printed.attention, printed.dense_and_norm, printed.feed_forward) == (75_497_472, 25_214_976, 151_093_248)
    assert printed.blocks == printed.total == sum(printed.groups.values())
    assert sum(printed.per_layer_width2.values()) == pytest.approx(10.0, abs=0.05)
    whole = count_parameters(24, 1024, d_ff=3072, convention="paper", T_max=1024, vocab_size=50257)
    assert sum(whole.per_layer_width2.values()) == pytest.approx(12.1, abs=0.05)
    unit = 24 * 1024**2
    assert count_parameters(24, 1024, T_max=1024, vocab_size=50257).total / unit == pytest.approx(14.1, abs=0.05)
    matrices = count_parameters(24, 1024, d_ff=3072, bias=False)
    assert matrices.attention == printed.attention + unit


def test_a_by_group():
    a = count_parameters(24, 1024, T_max=1024, vocab_size=50257, bias=False).per_layer_width2
    assert (a["attention"], a["feed_forward"]) == (4.0, 8.0)
    assert a["norms"] < 0.01
    assert a["token_embedding"] == pytest.approx(50257 / (24 * 1024))


def test_a_vanilla_block_is_torchs_encoder_layer():
    """torch.nn.TransformerEncoderLayer(512, 8, 2048) has 3,152,384 parameters."""
    assert count_parameters(1, 512, architecture="vanilla", d_ff=2048).total == 3_152_384


def test_tied_and_untied():
    options = dict(vocab_size=68, architecture="vanilla", d_ff=512)
    tied, untied = (count_parameters(6, 512, tied=t, **options) for t in (True, False))
    assert untied.total - tied.total == untied.head == 68 * 512
    assert tied.head == 0
    assert tied.non_embedding == untied.non_embedding == tied.blocks
    assert count_parameters(6, 512, tied=False, head_bias=True, **options).head == 68 * 513
    assert tied.position == 0


def test_the_2017_transformer():
    """Vaswani et al. 2017, base: 6 + 6 layers, 37,000 shared tokens; they report 65 million."""
    counts = count_parameters(6, 512, d_ff=2048, vocab_size=37000, architecture="encoder_decoder")
    assert counts.total / 1e6 == pytest.approx(63.1, abs=0.1)
    decoder_layer = 3_152_384 + 1_050_624 + 1_024
    assert counts.blocks == 6 * (3_152_384 + decoder_layer)


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((0, 4), {}, "n_layers=0"),
        ((1, 4.5), {}, "d_emb=4.5"),
        ((1, 4), {"vocab_size": -1}, "vocab_size=-1"),
        ((1, 4), {"d_ff": 0}, "d_ff=0"),
        ((1, 4), {"T_max": float("nan")}, "T_max=nan"),
        ((True, 4), {}, "n_layers=True"),
        (("12", 4), {}, "n_layers='12'"),
        ((1, 4), {"architecture": "mamba"}, "architecture='mamba'"),
        ((1, 4), {"convention": "printed"}, "convention='printed'"),
        ((1, 4), {"convention": "paper", "bias": False}, "counts a GPT-2 with biases"),
    ],
)
def test_bad_sizes_are_named(args, options, message):
    with pytest.raises(ArgumentError, match=message):
        count_parameters(*args, **options)
