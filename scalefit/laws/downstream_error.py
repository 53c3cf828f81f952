"""The error on downstream tasks from the loss, of Gadre et al. (2024)."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Constants, Law, Parameter
from scalefit.laws._declarations import Input, Target


class DownstreamError(Law):
    r"""Mean error over tasks as an exponential of the validation loss [1]_.

    .. math:: \mathrm{Err} = \epsilon - k\,e^{-\gamma L}

    L is ``val_loss``, the validation loss [nat/token]; the error is a share between 0 and 1. A law of one tokenizer
    and one validation set: its constants do not transfer to others.

    References
    ----------
    .. [1] Gadre et al. (2024), Language models scale reliably with over-training and on downstream tasks,
       arXiv:2403.08540, eq. 5.

    Examples
    --------
    >>> import scalefit as sf
    >>> round(sf.published("downstream_error", "ours_c4").predict(val_loss=2.8), 4)
    0.6709
    """

    name = "downstream_error"
    objective = "squared"
    inputs = ("val_loss",)
    formula = "Err(L) = eps - k e^(-gamma L)"
    target = Target("error", sense=-1, range=(0.0, 1.0), scale="linear", names=("err", "top1_error"))
    direction = {"val_loss": 1}
    val_loss = Input(
        "validation loss",
        ("val_loss", "validation_loss", "loss_c4_val"),
        "nat/token",
        range=(0, 20),
        typical=(2.0, 2.5, 3.0, 3.5, 4.0),
    )

    eps = Parameter("error of a model that has learnt nothing", (0.0, 1.0), (0.6, 0.75, 0.9), own=True)
    k = Parameter("error to gain", (0.0, 1e6), (0.5, 2.0, 5.0), log=True, own=True)
    gamma = Parameter("rate in the loss", (0.01, 20.0), (0.5, 1.1, 2.0), unit="token/nat")

    published = (
        Constants(
            "ours_c4",
            dict(eps=0.7578, k=1.881, gamma=1.098),
            source=(
                "fitted by scalefit (least squares) to the models that the authors trained on C4 "
                "(mlfoundations/scaling, arXiv:2403.08540), mean error over 46 tasks"
            ),
            params="total",
            evidence="refit",
            corpus="C4, GPT-NeoX tokenizer; loss on C4 validation",
            remark="The authors fit fewer of the runs: these are not their constants.",
        ),
        Constants(
            "ours_redpajama",
            dict(eps=0.757, k=2.126, gamma=1.066),
            source=(
                "fitted by scalefit (least squares) to the models that the authors trained on RedPajama "
                "(mlfoundations/scaling, arXiv:2403.08540), mean error over 46 tasks"
            ),
            params="total",
            evidence="refit",
            corpus="RedPajama, GPT-NeoX tokenizer; loss on C4 validation",
            remark="The authors fit fewer of the runs: these are not their constants.",
        ),
        Constants(
            "ours_refinedweb",
            dict(eps=0.754, k=2.9, gamma=1.19),
            source=(
                "fitted by scalefit (least squares) to the models that the authors trained on RefinedWeb "
                "(mlfoundations/scaling, arXiv:2403.08540), mean error over 46 tasks"
            ),
            params="total",
            evidence="refit",
            corpus="RefinedWeb, GPT-NeoX tokenizer; loss on C4 validation",
            remark="The authors fit fewer of the runs: these are not their constants.",
        ),
    )
    bibtex = (
        "@article{gadre2024language, title={Language models scale reliably with over-training and on "
        "downstream tasks}, author={Gadre, Samir Yitzhak and others}, journal={arXiv:2403.08540}, "
        "year={2024}}"
    )

    @staticmethod
    def loss(val_loss: Any, eps: Any, k: Any, gamma: Any) -> Any:
        """Error, a share between 0 and 1 [-]."""
        return eps - k * np.exp(-gamma * val_loss)
