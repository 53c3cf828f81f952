"""The second step of the model ladder of Bhagia et al. (2024): accuracy from a task's loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalefit.laws._base import Law, Parameter
from scalefit.laws._declarations import Input, Target


class LadderSigmoid(Law):
    r"""Accuracy as a falling sigmoid of the loss of the right answer [1]_.

    .. math:: \mathrm{acc} = b + \frac{a}{1 + e^{k (x - x_0)}}

    x is ``task_loss``, the loss of the right answer [bit/byte]; the accuracy is a share between 0 and 1, b the
    share that guessing gets right.

    References
    ----------
    .. [1] Bhagia et al. (2024), Establishing Task Scaling Laws via Compute-Efficient Model Ladders,
       arXiv:2412.04403.

    Examples
    --------
    >>> import scalefit as sf
    >>> law = sf.laws.get("ladder_sigmoid")
    >>> round(float(law.loss(0.7, 0.25, 0.7, 8.0, 0.8)), 3)
    0.733
    """

    name = "ladder_sigmoid"
    inputs = ("task_loss",)
    formula = "acc(x) = b + a / (1 + e^(k (x - x0)))"
    target = Target("accuracy", sense=1, range=(0.0, 1.0), scale="linear", names=("acc",))
    direction = {"task_loss": -1}
    task_loss = Input(
        "loss of the right answer",
        ("task_loss", "bpb", "answer_bpb"),
        "bit/byte",
        range=(0, 20),
        typical=(0.4, 0.6, 0.8, 1.0, 1.3),
    )

    b = Parameter("accuracy of guessing", (0.0, 1.0), (0.1, 0.25, 0.5))
    a = Parameter("accuracy to gain", (0.0, 1.0), (0.4, 0.7, 0.9))
    k = Parameter("steepness", (0.1, 200.0), (3.0, 8.0, 20.0), log=True)
    x0 = Parameter("loss at half of the gain", (0.0, 20.0), (0.4, 0.8, 1.2), unit="bit/byte", own=True)

    bibtex = (
        "@article{bhagia2024establishing, title={Establishing Task Scaling Laws via Compute-Efficient "
        "Model Ladders}, author={Bhagia, Akshita and others}, journal={arXiv:2412.04403}, year={2024}}"
    )

    @staticmethod
    def loss(task_loss: Any, b: Any, a: Any, k: Any, x0: Any) -> Any:
        """Accuracy, a share between 0 and 1 [-]."""
        return b + a / (1.0 + np.exp(k * (task_loss - x0)))
