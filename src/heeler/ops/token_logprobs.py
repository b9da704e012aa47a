"""Log-probabilities of chosen tokens, and entropies, from logits: in one pass, keeping one array for the gradient.

Shapes: T tokens, V tokens there are.
"""

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

# As many numbers as stay in a processor's cache from one operation to the next.
_NUMBERS_AT_ONCE = 2**19


def token_logprobs(
    logits_TV: Float[Tensor, "T V"], token_T: Int[Tensor, " T"], temperature: float
) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """log p(token) and the entropy of p, with p = softmax(logits / temperature).

    The gradient of log p(token) is (1[v = token] − p(v)) / temperature. The entropy is for looking at: it has none.

    Args:
        logits_TV: what a model makes of each place; any floating type.
        token_T: which token came there.
        temperature: > 0.

    Returns:
        The log-probabilities and the entropies in nats, float32.
    """
    # Torch gives `apply` no types.
    made = _TokenLogprobs.apply(logits_TV, token_T, temperature)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("tuple[Tensor, Tensor]", made)


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_TV: Tensor, token_T: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        size, num_tokens = logits_TV.shape
        logprob_T = torch.empty(size, dtype=torch.float32, device=logits_TV.device)
        entropy_T = torch.empty_like(logprob_T)
        needs_gradient = ctx.needs_input_grad[0]
        p_TV = torch.empty_like(logits_TV) if needs_gradient else None
        step = max(1, _NUMBERS_AT_ONCE // num_tokens) if logits_TV.device.type == "cpu" else size
        for start in range(0, size, max(step, 1)):
            part = slice(start, start + step)
            log_all_SV = torch.log_softmax(logits_TV[part].float() / temperature, -1)
            p_SV = log_all_SV.exp()
            logprob_T[part] = log_all_SV.gather(1, token_T[part, None])[:, 0]
            # A token that cannot come has p log p = 0, and not 0 times infinity.
            entropy_T[part] = -torch.einsum("sv,sv->s", p_SV, log_all_SV.clamp_min(torch.finfo(torch.float32).min))
            if p_TV is not None:
                p_TV[part] = p_SV
        if p_TV is not None:
            ctx.save_for_backward(p_TV, token_T)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy_T)
        return logprob_T, entropy_T

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        p_TV, token_T = ctx.saved_tensors
        grad_T1 = (grads[0] / ctx.temperature)[:, None].to(p_TV.dtype)
        grad_TV = p_TV * -grad_T1
        grad_TV.scatter_add_(1, token_T[:, None], grad_T1)
        return grad_TV, None, None
