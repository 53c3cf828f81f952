"""A law of one's own with an input of its own, as a user would write it outside the package."""

import scalefit as sf


class OwnExperts(sf.Law):
    """L = E + A N^-alpha n^-gamma + B D^-beta."""

    inputs = ("N", "D", "n_experts")
    formula = "L = E + A N^-alpha n_experts^-gamma + B D^-beta"
    n_experts = sf.Input(
        "experts per layer", names=("n_experts", "num_experts"), range=(1, 512), typical=(1, 4, 16, 64)
    )
    target = sf.Target("loss", unit="nat/token", sense=-1)
    E = sf.Parameter("irreducible loss", (0.0, 10.0), (1.0, 1.7, 2.5), log=True, linear=True)
    A = sf.Parameter("size coefficient", (1e-3, 1e8), (100.0, 400.0, 1600.0), log=True, linear=True)
    alpha = sf.Parameter("size exponent", (0.01, 2.0))
    gamma = sf.Parameter("experts exponent", (0.0, 1.0), (0.02, 0.05, 0.1, 0.2))
    B = sf.Parameter("data coefficient", (1e-3, 1e8), (100.0, 400.0, 1600.0), log=True, linear=True)
    beta = sf.Parameter("data exponent", (0.01, 2.0))

    @staticmethod
    def loss(N, D, n_experts, E, A, alpha, gamma, B, beta):
        return E + A * N**-alpha * n_experts**-gamma + B * D**-beta
