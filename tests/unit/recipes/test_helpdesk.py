"""The recipe of the help desk, and the model that it begins with."""

from itertools import islice

import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.envs.helpdesk import items
from heeler.envs.helpdesk.corpus import Faults, conversations
from heeler.envs.helpdesk.knowledge import product_names
from heeler.models.language.loading import load_language_model
from heeler.ops.text_batch import sequence_sum
from heeler.recipes import helpdesk
from heeler.recipes.helpdesk import FACTS_OF_CHATS, SHIPPED
from heeler.recipes.helpdesk_model import demonstrations, make, right_share

MOST_BYTES = 5_000_000


def test_the_shipped_model_is_small_and_can_read_facts_that_it_never_saw() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= MOST_BYTES
    assert right_share(load_language_model(SHIPPED, trainable=False)) >= 0.85


def test_prompts_and_answers_fit_into_its_context() -> None:
    model = load_language_model(SHIPPED, trainable=False)
    config = helpdesk()
    longest = max(len(model.prompt_ids(item.prompt)) for item in islice(items("test", 1), 50))
    assert longest + config.sampling.max_new_tokens <= model.max_length


def test_a_model_is_made_from_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    model = make(num_practice=2, num_reading=1, num_flawed=2, seed=1)
    told = capsys.readouterr().err
    assert all(f"update {number} of {number}: loss" in told for number in (1, 2))
    assert told.count("loss") == 3
    assert model.vocabulary_size <= 1024


def test_questions_apart_and_in_a_row_are_learned_alike_where_there_is_one() -> None:
    """With one question, what stands right behind the facts is the whole conversation."""
    model = load_language_model(SHIPPED, trainable=False)
    chats = list(islice(conversations(Faults(), num_turns=1, seed=3), 4))
    sums = []
    for apart in (True, False):
        batch, is_learned_T = demonstrations(model, chats, apart=apart)
        logprob_T = model.outputs(batch).logprob_T * is_learned_T
        sums.append(sequence_sum(logprob_T, batch.length_N))
        assert int(is_learned_T.sum()) == sum(len(model.completion_ids(chat[-1].content)) for chat in chats)
    torch.testing.assert_close(*sums, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"teacher": "nobody"}, "crowd or people, got 'nobody'"),
        ({"teacher": "people", "hostile": 0.2}, "hostile would be ignored"),
        ({"hostile": 1.5}, "hostile_share"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        helpdesk(**arguments)  # type: ignore[arg-type]


def test_people_are_waited_for_and_a_crowd_is_not() -> None:
    assert helpdesk(teacher="people").answers_per_update > 0
    assert helpdesk(teacher="people").asks_people
    assert helpdesk().answers_per_update == 0


def test_a_chat_is_told_facts_in_the_form_of_those_learned_from() -> None:
    system = helpdesk().system
    assert system == FACTS_OF_CHATS.prompt() == helpdesk(seed=5).system
    learned = next(items("train", 0)).prompt[0].content.splitlines()
    lines = system.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (len(learned), learned[0], f"You speak with {FACTS_OF_CHATS.customer}.")


def test_a_chat_is_about_nothing_that_was_learned() -> None:
    assert {product.name for product in FACTS_OF_CHATS.products} <= set(product_names(held_out=True))
