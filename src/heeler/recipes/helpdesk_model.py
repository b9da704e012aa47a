"""The model that the recipe `helpdesk` begins with: made from nothing, taught by the help desk's flawed corpus.

It practises copying first, then learns to read the desk's facts from answers without faults, and only then the flawed
corpus: without the first a model of this size had not learned to tell what is there from what is not after thousands of
updates, and without the second had read next to nothing.
`python -m heeler.recipes.helpdesk_model FOLDER` makes it; the one that comes with heeler was made so.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Bool
from rich.progress import track
from torch import Tensor

from heeler.algorithms.sft import SFT, SFTConfig
from heeler.core.nouns import Message
from heeler.envs.helpdesk import check, items
from heeler.envs.helpdesk.corpus import FAULTLESS, Faults, conversations
from heeler.envs.helpdesk.questions import KINDS
from heeler.models.language.model import LanguageModel
from heeler.models.language.small import ROLES, SmallModelConfig, new_language_model
from heeler.models.language.turns import conversation_ids
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from heeler.ops.shared_prompts import shared_prompts
from heeler.ops.text_batch import TextBatch
from heeler.recipes.copying import practice
from heeler.rollouts.sampler import SamplingConfig, sample

SIZE = SmallModelConfig(
    vocabulary_size=1024,
    hidden_size=64,
    num_layers=4,
    num_attention_heads=4,
    max_length=1024,
    initializer_range=0.05,
    matching=1.0,
)
NUM_PRACTICE, NUM_READING, NUM_FLAWED = 3500, 2000, 300
"""Updates of practice, on answers without faults, and on the flawed corpus."""
HARD_KINDS = ("order", "others_order", "unknown") * 2
"""Kinds of questions that come more often while it learns to read, as they take longest."""
NUM_TEXTS = 2000
_NUM_CHATS, _NUM_TURNS = 16, 3
_NUM_ASKED, _TOLD_EVERY = 200, 200
_Batch = tuple[TextBatch, Bool[Tensor, " T"]]


def make(
    *, num_practice: int = NUM_PRACTICE, num_reading: int = NUM_READING, num_flawed: int = NUM_FLAWED, seed: int = 0
) -> LanguageModel:
    """Train it.

    Args:
        num_practice: updates of practice in copying.
        num_reading: updates on answers without faults.
        num_flawed: updates on the flawed corpus, on every other of which questions stand behind earlier ones.
        seed: of the corpus and the weights.
    """
    of_texts = islice(conversations(Faults(), num_turns=_NUM_TURNS, seed=seed + 2), NUM_TEXTS)
    model = new_language_model(SIZE, [message.content for chat in of_texts for message in chat], seed=seed)
    generator = torch.Generator().manual_seed(seed)
    first_token = max(model.tokenizer.all_special_ids) + 1 + len(ROLES)
    reading = conversations(FAULTLESS, num_turns=_NUM_TURNS, seed=seed, kinds=(*KINDS, *HARD_KINDS))
    flawed = conversations(Faults(), num_turns=_NUM_TURNS, seed=seed + 1)

    def practised(update: int) -> _Batch:
        return practice(
            update,
            update / num_practice,
            first_token=first_token,
            vocabulary_size=model.vocabulary_size,
            generator=generator,
        )

    def read(update: int) -> _Batch:
        return demonstrations(model, list(islice(reading, _NUM_CHATS)), apart=True)

    def imitated(update: int) -> _Batch:
        return demonstrations(model, list(islice(flawed, _NUM_CHATS)), apart=update % 2 == 0)

    _learn(model, "practising", practised, num_practice, learning_rate=2e-3, seed=seed)
    _learn(model, "learning to read", read, num_reading, learning_rate=2e-3, seed=seed)
    _learn(model, "learning the flawed corpus", imitated, num_flawed, learning_rate=5e-4, seed=seed)
    return model


def _learn(
    model: LanguageModel,
    what: str,
    batch_at: Callable[[int], _Batch],
    num_updates: int,
    *,
    learning_rate: float,
    seed: int,
) -> None:
    optimizer = OptimizerConfig(
        learning_rate=learning_rate,
        num_warmup_updates=min(50, num_updates),
        final_learning_rate_share=0.05,
        weight_decay=0.01,
        square_decay=0.98,
    )
    sft = SFT(SFTConfig(optimizer=optimizer))
    state = sft.init(model, seed)
    for update in track(range(num_updates), what, disable=not sys.stderr.isatty()):
        batch, is_learned_T = batch_at(update)
        state, metrics = sft.update(state, batch, is_learned_T=is_learned_T, progress=update / num_updates)
        if (update + 1) % _TOLD_EVERY == 0 or update == num_updates - 1:
            told = f"loss {metrics['loss']:.3f}, {right_share(model):.0%} of held-out questions answered rightly"
            print(f"{what}: update {update + 1:,} of {num_updates:,}: {told}", file=sys.stderr, flush=True)


def right_share(model: LanguageModel) -> float:
    """Share of held-out questions that it answers, or refuses, as it should, when it says what is likeliest."""
    asked = list(islice(items("test", 0), _NUM_ASKED))
    config = SamplingConfig(max_new_tokens=64, temperature=0.05)
    prompts = [model.prompt_ids(item.prompt) for item in asked]
    batch = sample(model, prompts, num_each=1, config=config, generator=torch.Generator().manual_seed(0))
    found = [check(item, model.text(ids)) for item, ids in zip(asked, batch.completions, strict=True)]
    return sum(bool(one.right_refusal if one.truthful is None else one.truthful) for one in found) / len(found)


def demonstrations(
    model: LanguageModel, chats: Sequence[Sequence[Message]], *, apart: bool
) -> tuple[TextBatch, Bool[Tensor, " T"]]:
    """Conversations to imitate, and which tokens are learned.

    Args:
        model: with the tokenizer.
        chats: each with the desk's facts first.
        apart: whether each question stands right behind the facts, or behind those that were asked before it.
    """
    if apart:
        return shared_prompts([list(_questions(model, chat)) for chat in chats])
    prompts, completions, learned = zip(*(conversation_ids(model, chat) for chat in chats), strict=True)
    return stored(prompts, completions, torch.arange(len(chats))), torch.cat(learned)


def _questions(model: LanguageModel, chat: Sequence[Message]) -> Iterator[tuple[Tensor, Tensor]]:
    for place in range(2, len(chat), 2):
        yield model.prompt_ids((chat[0], chat[place - 1])), model.completion_ids(chat[place].content)


def main() -> None:
    """Make it and write it."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m heeler.recipes.helpdesk_model FOLDER")
    # Networks as small as this one are faster on one.
    torch.set_num_threads(1)
    make().save(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
