"""Losses of preferences among answers. Every loss is to be minimised.

Shapes: B pairs, or B labelled answers. A log-ratio is log π(y|x) − log π_ref(y|x), summed over an answer's tokens.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid


def pairwise_loss(
    chosen_B: Float[Tensor, " B"],
    rejected_B: Float[Tensor, " B"],
    *,
    margin_B: Float[Tensor, " B"] | float = 0.0,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    r"""Bradley–Terry loss of scores, with a margin by which the chosen one should lead.

    $$-(1 - \epsilon) \log\sigma(s_w - s_l - m) - \epsilon \log\sigma(s_l - s_w + m)$$

    It does not change when all scores are shifted: `centring_penalty` holds them.

    Args:
        chosen_B: s_w.
        rejected_B: s_l.
        margin_B: m, such as the stated strength of a preference.
        label_smoothing: ε, the share of preferences taken to be the wrong way round, at least 0 and below 0.5.

    Source: Bradley and Terry 1952; the margin Touvron et al. 2023 (Llama 2), arXiv 2307.09288.
    """
    lead_B = chosen_B - rejected_B - margin_B
    return -(1 - label_smoothing) * logsigmoid(lead_B) - label_smoothing * logsigmoid(-lead_B)


def centring_penalty(chosen_B: Float[Tensor, " B"], rejected_B: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    r"""Pulls the mean score of each pair to zero: $(s_w + s_l)^2$.

    Source: Eisenstein et al. 2023, arXiv 2312.09244.
    """
    return (chosen_B + rejected_B).square()


def dpo_loss(
    chosen_ratio_B: Float[Tensor, " B"],
    rejected_ratio_B: Float[Tensor, " B"],
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    r"""Direct preference optimisation: the Bradley–Terry loss of the rewards that the policy stands for.

    $$-\log\sigma\Big(\beta \Big[\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)} -
      \log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}\Big]\Big)$$

    Args:
        chosen_ratio_B: log-ratios of the chosen answers (differentiated).
        rejected_ratio_B: of the rejected ones.
        beta: weight of the KL that it stands for, above 0.
        label_smoothing: as in `pairwise_loss` (conservative DPO).

    Source: Rafailov et al. 2023, arXiv 2305.18290.
    """
    return pairwise_loss(beta * chosen_ratio_B, beta * rejected_ratio_B, label_smoothing=label_smoothing)


def ipo_loss(
    chosen_ratio_B: Float[Tensor, " B"], rejected_ratio_B: Float[Tensor, " B"], *, beta: float
) -> Float[Tensor, " B"]:
    r"""Identity preference optimisation: a lead of 1/(2β) is enough, so that certain preferences do not run away.

    $$\Big(\log\frac{\pi(y_w)}{\pi_{\mathrm{ref}}(y_w)} - \log\frac{\pi(y_l)}{\pi_{\mathrm{ref}}(y_l)}
      - \frac{1}{2\beta}\Big)^2$$

    Args:
        chosen_ratio_B: as in `dpo_loss`; summed over tokens as in the paper, or means of them as in TRL.
        rejected_ratio_B: likewise.
        beta: τ of the paper, above 0.

    Source: Azar et al. 2023, arXiv 2310.12036, equation 17.
    """
    return (chosen_ratio_B - rejected_ratio_B - 1 / (2 * beta)).square()


def kto_loss(
    ratio_B: Float[Tensor, " B"],
    is_desirable_B: Bool[Tensor, " B"],
    *,
    kl: Float[Tensor, ""] | float,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " B"]:
    r"""Kahneman–Tversky optimisation: answers judged one by one, against what the policy gives on the whole.

    $$\lambda_D\,(1 - \sigma(\beta (r - z)))\ \mathrm{(good)},\qquad
      \lambda_U\,(1 - \sigma(\beta (z - r)))\ \mathrm{(bad)}$$

    Args:
        ratio_B: r, log-ratios of the answers (differentiated).
        is_desirable_B: whether they were called good.
        kl: z, an estimate of KL(π || π_ref), at least 0, not differentiated.
        beta: above 0.
        desirable_weight: λ_D.
        undesirable_weight: λ_U.

    Source: Ethayarajh et al. 2024, arXiv 2402.01306.
    """
    gain_B = beta * (ratio_B - kl)
    return torch.where(
        is_desirable_B, desirable_weight * torch.sigmoid(-gain_B), undesirable_weight * torch.sigmoid(gain_B)
    )
