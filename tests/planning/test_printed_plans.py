"""Plans that papers print, from their published constants, to the digits that they print."""

import pytest

import scalefit as sf

#: Quality as a size and its tokens (None where it is trained for its own cost), tokens served; size, tokens and saving.
SARDANA = [
    (30e9, 1.56e12, 5e12, 1.644e10, 3.268e12, 0.162),
    (70e9, 4.26e12, 10e12, 4.158e10, 7.926e12, 0.119),
    (30e9, None, 10e12, 1.361e10, 2.845, 0.280),
    (7e9, None, 1e11, 6.00e9, 1.176, 0.008),
    (13e9, None, 2e12, 6.97e9, 2.165, 0.174),
]
#: Compute, experts; active parameters and tokens.
JOINT_MOE = [
    (1e20, 1, 1.7e9, 9.7e9),
    (1e20, 8, 9.9e8, 1.68e10),
    (1e20, 32, 6.74e8, 2.47e10),
    (1e21, 1, 5.71e9, 2.92e10),
    (1e22, 1, 1.89e10, 8.83e10),
    (1e22, 32, 1.23e10, 1.36e11),
]


@pytest.mark.parametrize(("N", "D", "served", "size", "tokens", "saved"), SARDANA)
def test_models_that_are_served_a_lot_are_smaller(N, D, served, size, tokens, saved):
    law = sf.published("chinchilla", "sardana2024_paper")
    own = sf.plan(law, N=N)
    D, tokens = (D, tokens) if D is not None else (own.D, tokens * own.D)
    plan = sf.plan(law, loss=law.predict(N=N, D=D), inference_tokens=served)
    assert plan.N == pytest.approx(size, rel=1e-3) and plan.D == pytest.approx(tokens, rel=1e-3)
    assert plan.total_flops / (6 * N * D + 2 * N * served) == pytest.approx(1 - saved, abs=1e-3)


@pytest.mark.parametrize(("C", "experts", "size", "tokens"), JOINT_MOE)
def test_experts_are_smaller_and_trained_longer(C, experts, size, tokens):
    plan = sf.plan(sf.published("joint_moe", "ludziejewski2025"), C=C, at={"n_experts": experts})
    assert plan.N == pytest.approx(size, rel=0.02) and plan.D == pytest.approx(tokens, rel=0.01)
