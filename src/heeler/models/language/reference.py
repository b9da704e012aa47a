"""Log-probabilities under the model that learning began with."""

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor

from heeler.core.errors import ConfigError
from heeler.models.language.model import LanguageModel
from heeler.ops.micro_batches import joined, micro_batches
from heeler.ops.text_batch import TextBatch


@torch.no_grad()
def reference_logprobs(
    model: LanguageModel, reference: LanguageModel | None, batch: TextBatch, *, max_tokens: int
) -> Float[Tensor, " T"]:
    """Log-probabilities of a batch's tokens under the reference, which nothing is differentiated through.

    Args:
        model: that is being learned.
        reference: a model that stays as it is; None for `model` with its adapter switched off.
        batch: to look at.
        max_tokens: places gone through at a time.

    Raises:
        ConfigError: there is no reference and no adapter, or the reference knows other tokens.
    """
    if reference is None:
        if not model.has_adapter:
            raise ConfigError(
                "a KL needs a reference: give a frozen model, or learn an adapter, which is switched off for it"
            )
        reference = model
        context = model.adapter_off()
    else:
        context = nullcontext()
        if reference.vocabulary_size != model.vocabulary_size:
            raise ConfigError(
                f"the reference knows {reference.vocabulary_size} tokens and the model {model.vocabulary_size}; "
                "take the model that learning began with"
            )
    parts = micro_batches(batch, max_tokens=max_tokens)
    with context:
        return joined([reference.outputs(part.batch).logprob_T for part in parts], parts).to(model.device)
