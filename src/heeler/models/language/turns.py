"""Conversations of several turns as tokens, of which the assistant's are learned."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from heeler.core.errors import DataError
from heeler.core.nouns import Message
from heeler.models.language.model import LanguageModel


def conversation_ids(
    model: LanguageModel, messages: Sequence[Message]
) -> tuple[Int[Tensor, " prompt"], Int[Tensor, " completion"], Bool[Tensor, " completion"]]:
    """All answers of a conversation at once, each behind what was said before it.

    Args:
        model: with the tokenizer and its template.
        messages: the oldest first; the last is the assistant's.

    Returns:
        What stands before the first answer; all that follows; and which tokens of that are the assistant's.

    Raises:
        DataError: the last message is not the assistant's, it is longer than the model's context, or the template
            writes what was said before differently once something follows.
    """
    if not messages or messages[-1].role != "assistant":
        raise DataError("messages: the last one must be the assistant's, which is what is learned")
    prompt, ids = torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    learned: list[Tensor] = []
    for place in (i for i, message in enumerate(messages) if message.role == "assistant"):
        read = model.prompt_ids(tuple(messages[:place]))
        if not torch.equal(read[: len(ids)], ids):
            raise DataError(
                f"messages[{place}]: the chat template changes what was said before; learn the last answer alone"
            )
        answer = model.completion_ids(messages[place].content)
        prompt = prompt if learned else read
        learned += [torch.zeros(len(read) - len(ids), dtype=torch.bool), torch.ones(len(answer), dtype=torch.bool)]
        ids = torch.cat([read, answer])
    return prompt, ids[len(prompt) :], torch.cat(learned)[len(prompt) :]
