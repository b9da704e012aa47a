"""The model that the recipe `helpdesk` begins with: made from nothing, taught by the help desk's flawed corpus.

It learns to read first, from answers without faults, and only then the flawed corpus: from that alone a model of this
size had learned to read next to nothing after 400 updates.
`python -m heeler.recipes.helpdesk_model FOLDER` makes it; the one that comes with heeler was made so.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Bool
from rich.progress import track
from torch import Tensor

from heeler.algorithms.sft import SFT, SFTConfig
from heeler.core.nouns import Message
from heeler.envs.helpdesk import check, items
from heeler.envs.helpdesk.corpus import Faults, conversations
from heeler.envs.helpdesk.questions import KINDS
from heeler.models.language.model import LanguageModel
from heeler.models.language.small import SmallModelConfig, new_language_model
from heeler.models.language.turns import conversation_ids
from heeler.models.language.weights import OptimizerConfig
from heeler.ops.micro_batches import stored
from heeler.ops.shared_prompts import shared_prompts
from heeler.ops.text_batch import TextBatch
from heeler.rollouts.sampler import SamplingConfig, sample

SIZE = SmallModelConfig(
    vocabulary_size=1024,
    hidden_size=128,
    num_layers=4,
    num_attention_heads=4,
    max_length=1024,
    initializer_range=0.05,
)
LEARNER = SFTConfig(
    optimizer=OptimizerConfig(
        learning_rate=2e-3, num_warmup_updates=50, final_learning_rate_share=0.02, weight_decay=0.05
    )
)
NUM_READING, NUM_FLAWED = 3000, 400
"""Updates on answers without faults, and on the flawed corpus."""
HARD_KINDS = ("hours", "order", "others_order", "unknown", "order", "others_order", "unknown")
"""Kinds of questions that come more often while it learns to read, as they take longest."""
NUM_CHATS, NUM_TURNS, NUM_TEXTS = 12, 6, 2000
_NUM_ASKED, _TOLD_EVERY = 200, 200


def make(*, num_reading: int = NUM_READING, num_flawed: int = NUM_FLAWED, seed: int = 0) -> LanguageModel:
    """Train it.

    Args:
        num_reading: updates on answers without faults.
        num_flawed: updates on the flawed corpus, on every other of which questions stand behind earlier ones.
        seed: of the corpus and the weights.
    """
    faultless = Faults(invented=0.0, rude=0.0, long=0.0)
    reading = conversations(faultless, num_turns=NUM_TURNS, seed=seed, kinds=(*KINDS, *HARD_KINDS))
    flawed = conversations(Faults(), num_turns=NUM_TURNS, seed=seed + 1)
    of_texts = islice(conversations(Faults(), num_turns=NUM_TURNS, seed=seed + 2), NUM_TEXTS)
    model = new_language_model(SIZE, [message.content for chat in of_texts for message in chat], seed=seed)
    sft, total = SFT(LEARNER), num_reading + num_flawed
    state = sft.init(model, seed)
    for update in track(range(total), "learning from the corpus", disable=not sys.stderr.isatty()):
        chats = reading if update < num_reading else flawed
        is_apart = update < num_reading or update % 2 == 0
        batch, is_learned_T = demonstrations(model, list(islice(chats, NUM_CHATS)), apart=is_apart)
        state, metrics = sft.update(state, batch, is_learned_T=is_learned_T, progress=update / total)
        if (update + 1) % _TOLD_EVERY == 0 or update == total - 1:
            told = f"loss {metrics['loss']:.3f}, {right_share(model):.0%} of held-out questions answered rightly"
            print(f"update {update + 1:,} of {total:,}: {told}", file=sys.stderr, flush=True)
    return model


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
    torch.set_num_threads(2)
    make().save(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
