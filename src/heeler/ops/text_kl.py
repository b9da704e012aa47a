"""How far a language model has moved from its reference, estimated from the tokens that it sampled.

Shapes: T tokens of all completions together. `difference` is log π − log π_ref of the sampled tokens.
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]
"""Schulman's names."""

_MAX_DIFFERENCE = 20.0
"""Log-ratios are held within this before they are raised to e: e^20 is 5e8, e^90 is no float32."""


def kl_terms(
    logprob_T: Float[Tensor, " T"], reference_T: Float[Tensor, " T"], *, estimator: KLEstimator
) -> Float[Tensor, " T"]:
    r"""One term for each token, whose mean over samples of π estimates KL(π || π_ref).

    $$k_1 = d,\quad k_2 = d^2 / 2,\quad k_3 = e^{-d} - 1 + d,\qquad d = \log\pi - \log\pi_{\mathrm{ref}}$$

    On samples of π the means of k1 and k3 are the KL; k3 varies less and is never negative; k2 is biased.
    What is differentiated is another matter. As part of a loss, on samples of π and token by token,

    * k1 has no gradient on average;
    * k2 has the gradient of KL(π || π_ref);
    * k3 has that of KL(π_ref || π);
    * any of them times π/π_old has, but for k2, the gradient of KL(π || π_ref).

    As part of a reward, where it is not differentiated, k1 alone gives the gradient of KL(π || π_ref), and that of the
    whole sequence: what a token does to the KL of those after it is counted too, which no loss by token does.

    Args:
        logprob_T: of the sampled tokens.
        reference_T: of the same tokens under the reference.
        estimator: which.

    Example:
        >>> kl_terms(torch.tensor([0.5]), torch.tensor([0.0]), estimator="k2").tolist()
        [0.125]

    Sources: J. Schulman, "Approximating KL divergence" (2020); on the gradients Tang and Munos 2025, arXiv 2506.09477.
    """
    difference_T = (logprob_T - reference_T).clamp(-_MAX_DIFFERENCE, _MAX_DIFFERENCE)
    if estimator == "k1":
        return difference_T
    if estimator == "k2":
        return difference_T.square() / 2
    return torch.expm1(-difference_T) + difference_T


def adapted_coefficient(coefficient: float, *, kl: float, target: float, rate: float) -> float:
    r"""The KL's weight for the next update, which grows while the KL is above its target and falls while it is below.

    $$\beta \leftarrow \beta\,(1 + K\,\mathrm{clip}(\mathrm{KL} / \mathrm{target} - 1,\ -0.2,\ 0.2))$$

    Args:
        coefficient: β so far.
        kl: what was measured, in nats a completion.
        target: what it should be, in the same unit, above 0.
        rate: K, above 0 and below 5.

    Example:
        >>> round(adapted_coefficient(0.1, kl=12.0, target=6.0, rate=0.1), 6)
        0.102

    Source: Ziegler et al. 2019, arXiv 1909.08593, section 2.2.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return coefficient * (1 + rate * error)
