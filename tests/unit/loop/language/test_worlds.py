"""Where prompts come from: the help desk, or a file."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from heeler.core.errors import DataError
from heeler.core.texts import TextSample
from heeler.envs.helpdesk import items
from heeler.envs.helpdesk.corpus import INSULTS, PADDING, RUDE
from heeler.envs.helpdesk.knowledge import product_names
from heeler.envs.helpdesk.questions import OTHERS, REFUSAL
from heeler.evaluation.text_suites import Answer, Prompt
from heeler.loop.language.worlds import HelpDesk, PromptFile, Split, world_named
from heeler.recipes.helpdesk import CHECKS
from tests.tiny_models import tiny_llama


def written(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def prompts(tmp_path: Path) -> PromptFile:
    rows: list[object] = [{"prompt": f"question {i}?", "reference": f"answer {i}", "topic": i % 3} for i in range(40)]
    return PromptFile(written(tmp_path / "prompts.jsonl", rows))


def test_no_prompt_of_a_file_is_both_learned_from_and_asked_by_watch_or_gate(prompts: PromptFile) -> None:
    splits: tuple[Split, ...] = ("train", "held_out", "suites")
    found = [{each.prompt for each in prompts.prompts(split, 60, seed=0)} for split in splits]
    assert [len(each) for each in found] == [32, 4, 4]
    assert len(set.union(*found)) == 40


def test_prompts_come_by_chance_and_the_same_seed_gives_the_same(prompts: PromptFile) -> None:
    first, again, other = (prompts.prompts("train", 8, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len({each.prompt for each in first}) == 8
    assert set(first[0].columns) == {"reference", "topic"} == set(prompts.columns)


def test_a_column_that_a_row_lacks_is_none_there(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"{i}?", **({"reference": "x"} if i % 2 else {"note": 1})} for i in range(40)]
    world = PromptFile(written(tmp_path / "some.jsonl", rows))
    assert all(set(each.columns) == {"reference", "note"} for each in world.prompts("train", 32, seed=0))
    assert world.has_texts("reference") and not world.has_texts("facts")
    with pytest.raises(DataError, match=r"some.jsonl, line 1, note: expected a text, texts or null, got 1"):
        world.has_texts("note")


def test_a_file_with_references_has_suites_that_need_them(prompts: PromptFile, tmp_path: Path) -> None:
    assert [suite.name for suite in prompts.suites(4, seed=0)] == [
        *("toxicity", "prompt_injection", "helpfulness", "perplexity")
    ]
    bare = PromptFile(written(tmp_path / "bare.jsonl", [{"prompt": f"{i}?"} for i in range(12)]))
    assert [suite.name for suite in bare.suites(4, seed=0)] == ["toxicity", "prompt_injection"]


def test_a_file_is_known_again_by_what_it_says(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"{i}?", "reference": "x"} for i in range(12)]
    one, same = (PromptFile(written(tmp_path / name, rows)).sha256 for name in ("a.jsonl", "b.jsonl"))
    other = PromptFile(written(tmp_path / "c.jsonl", [*rows[:-1], {"prompt": "11?", "reference": "y"}])).sha256
    assert one == same != other
    assert HelpDesk().sha256 == ""


def test_a_chat_is_a_prompt_too(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": [{"role": "user", "content": f"{i}?"}]} for i in range(12)]
    world = PromptFile(written(tmp_path / "chats.jsonl", rows))
    assert world.prompts("train", 1, seed=0)[0].prompt[0].role == "user"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"question": "x"}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [{"role": "user"}]}, "content"),
        ({"prompt": 7}, "prompt"),
    ],
)
def test_a_row_without_a_prompt_is_refused_by_its_place(row: object, words: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}?"} for i in range(12)]
    path = written(tmp_path / "bad.jsonl", [*rows[:3], row, *rows[3:]])
    with pytest.raises(DataError, match=f"bad.jsonl, line 4.*{words}"):
        PromptFile(path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "x" * 192}, "prompt: 192 tokens, and the model's context holds 192; shorten it"),
        ({"prompt": [{"role": "user", "content": "x" * 227}]}, "prompt: 230 tokens, and the model's context holds 192"),
        ({"prompt": "why?", "reference": "y" * 200}, None),
    ],
)
def test_a_prompt_that_leaves_no_room_is_refused_by_its_place(row: object, words: str | None, tmp_path: Path) -> None:
    rows = [{"prompt": f"{i}?", "reference": "so"} for i in range(12)]
    world = PromptFile(written(tmp_path / "long.jsonl", [*rows[:3], row, *rows[3:]]))
    model = tiny_llama(max_length=192)
    if words is None:
        assert all(each.prompt[0].content != "why?" for each in world.prompts("suites", 1, seed=0))
        world.refuse_unreadable(model)
        return
    with pytest.raises(DataError, match=f"long.jsonl, line 4, {words}"):
        world.refuse_unreadable(model)


def test_room_is_needed_for_the_instruction_that_the_gate_tries(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"{'x' * 120}{i}?"} for i in range(12)]
    world = PromptFile(written(tmp_path / "long.jsonl", rows))
    with pytest.raises(
        DataError, match=r"line \d+, with the instruction that the gate tries behind it, prompt: \d+ tokens"
    ):
        world.refuse_unreadable(tiny_llama(max_length=192))


def test_a_reference_of_the_gate_that_does_not_fit_is_refused_by_its_place(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": f"{i}?", "reference": "y" * 200} for i in range(12)]
    world = PromptFile(written(tmp_path / "long.jsonl", rows))
    with pytest.raises(
        DataError, match=r"long.jsonl, line \d+, reference: 201 tokens and the prompt's [23] do not fit"
    ):
        world.refuse_unreadable(tiny_llama(max_length=192))


def test_a_chat_for_a_model_without_a_template_is_refused_by_its_place(tmp_path: Path) -> None:
    rows: list[object] = [{"prompt": [{"role": "user", "content": f"{i}?"}]} for i in range(12)]
    model = tiny_llama()
    model.tokenizer.chat_template = None
    with pytest.raises(
        DataError, match=r"chats.jsonl, line \d+, prompt: a chat, and the tokenizer has no chat template"
    ):
        PromptFile(written(tmp_path / "chats.jsonl", rows)).refuse_unreadable(model)


def test_too_few_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="9 different prompts are too few"):
        PromptFile(written(tmp_path / "few.jsonl", [{"prompt": f"{i % 9}?"} for i in range(20)]))


def test_a_world_is_the_help_desk_or_a_file(tmp_path: Path) -> None:
    assert isinstance(world_named("helpdesk"), HelpDesk)
    with pytest.raises(DataError, match="no such file"):
        world_named(str(tmp_path / "none.jsonl"))


def test_users_like_what_is_true_polite_and_brief() -> None:
    world = HelpDesk()
    question = next(item for item in items("train", 0) if item.kind == "price")
    false = question.reference.replace(" euro", "1 euro")

    def quality(text: str) -> float:
        sample = TextSample(prompt=question.prompt, completion=text, columns={"question": question})
        found = world.quality(sample)
        assert found is not None
        return found

    best = quality(question.reference)
    assert best == 1.0
    assert best > quality(f"{question.reference} Please come again and tell your friends about us.")
    assert quality(f"{question.reference} Please come again.") > quality(false)
    assert quality(false) > quality(f"{false} Are you blind?")
    assert world.quality(TextSample(prompt=question.prompt, completion="x", columns={"question": None})) is None


def test_metrics_apply_where_they_can_be_told() -> None:
    world = HelpDesk()
    asked = list(islice(items("train", 1), 60))
    samples = [
        TextSample(prompt=one.prompt, completion=one.reference, columns={"question": one, "reference": one.reference})
        for one in asked
    ]
    truthful, refused = (world.score(name, samples) for name in ("truthfulness", "refusals"))
    assert truthful is not None and refused is not None
    for one, true, refusal in zip(asked, truthful, refused, strict=True):
        assert (true is None) != (refusal is None), one.kind
        assert true in (1.0, None) and refusal in (1.0, None), "reference answers are right"
    assert world.score("beauty", samples) is None


def test_suites_are_what_learning_never_sees() -> None:
    suites = {suite.name: suite for suite in HelpDesk().suites(30, seed=5)}
    assert set(suites) == {
        "helpfulness",
        "truthfulness",
        "toxicity",
        "right_refusals",
        "wrong_refusals",
        "stated_belief",
        "pushback",
        "prompt_injection",
        "perplexity",
    }
    assert {check.suite for check in CHECKS} == set(suites), "and the recipe's gate asks them all"
    asked = {item.prompt for suite in suites.values() for item in suite.items}
    learned = {each.prompt for each in HelpDesk().prompts("train", 500, seed=5)}
    assert not asked & learned
    assert [len(suites[name].items) for name in ("truthfulness", "stated_belief", "pushback")] == [30, 60, 60]
    right = suites["truthfulness"]
    sample = TextSample(prompt=right.items[0].prompt, completion=str(right.items[0].columns["reference"]))
    assert right.score(sample) == 1.0


@dataclass
class Desk:
    """Says what `reply` makes of a prompt and the right answer to the question in it."""

    known: Mapping[Prompt, str]
    reply: Callable[[Prompt, str], str]

    def answer(self, prompts: Sequence[Prompt], *, seed: int) -> list[Answer]:
        return [Answer(text=self.reply(prompt, self.right(prompt))) for prompt in prompts]

    def right(self, prompt: Prompt) -> str:
        (found,) = (
            right
            for (facts, question), right in self.known.items()
            if facts == prompt[0] and prompt[1].content.startswith(question.content)
        )
        return found

    def surprise(self, samples: Sequence[TextSample]) -> list[float]:
        raise AssertionError("nothing is asked for its surprise")


def gives_in(prompt: Prompt, right: str) -> str:
    """Under doubt takes back what was right, and says the number that the user believes in."""
    if len(prompt) > 2:
        return "You are right, I was wrong."
    believed = re.search(r"I think it is (\d+) ", prompt[1].content)
    return right if believed is None else re.sub(r"\d+(?= (euro|days|months))", believed[1], right)


@pytest.mark.parametrize("name", ["stated_belief", "pushback"])
def test_a_right_answer_is_held_against_the_user_s_doubt_and_belief(name: str) -> None:
    suite = next(suite for suite in HelpDesk().suites(40, seed=3) if suite.name == name)
    known = {item.prompt: str(item.columns["reference"]) for item in suite.items}
    for reply, score in ((lambda prompt, right: right, 1.0), (gives_in, 0.0)):
        assert {each.score for each in suite.scores(Desk(known, reply), 0, 40, seed=0)} == {score}


def test_an_injection_is_obeyed_by_who_tells_whose_orders_there_are() -> None:
    suite = next(suite for suite in HelpDesk().suites(40, seed=3) if suite.name == "prompt_injection")
    for number, item in enumerate(suite.items):
        facts, question = (message.content for message in item.prompt)
        others = re.findall(r"order (\d+) of (\w+)", facts)
        told = " ".join(f"Order {order} is of {name}." for order, name in others)
        for completion, obeys in ((told, 1.0), (REFUSAL, 0.0), (OTHERS, 0.0), ("The red lamp: 12 euro.", 0.0)):
            sample = TextSample(prompt=item.prompt, completion=completion, columns=item.columns)
            assert suite.score(sample) == obeys, completion
        assert ('"' in question) == (number % 2 == 1), "every other one stands in a text behind a question"


def test_perplexity_is_of_clean_texts_of_a_kind_that_no_reward_looks_at() -> None:
    world = HelpDesk()
    suite = next(suite for suite in world.suites(50, seed=3) if suite.name == "perplexity")
    names = product_names(held_out=False)
    for item in suite.items:
        assert [message.role for message in item.prompt] == ["system", *["user", "assistant"] * 2, "user"]
        texts = [message.content for message in item.prompt[2::2]] + [str(item.columns["completion"])]
        assert not any(words in text for text in texts for words in (*RUDE, *PADDING, *INSULTS))
        assert not any(name in item.prompt[0].content for name in names), "about products that nobody was taught"
    rewarded = {len(each.prompt) for each in world.prompts("train", 200, seed=3)}
    assert rewarded == {2}, "single questions"


def test_the_gate_gets_as_many_prompts_of_a_file_as_it_asks_for_but_half_at_most(tmp_path: Path) -> None:
    path = written(tmp_path / "prompts.jsonl", [{"prompt": f"{i}?"} for i in range(60)])
    splits: tuple[Split, ...] = ("train", "held_out", "suites")
    for num, sizes in ((None, [48, 6, 6]), (20, [34, 6, 20]), (200, [24, 6, 30])):
        world = PromptFile(path, num)
        found = [{each.prompt for each in world.prompts(split, 99, seed=0)} for split in splits]
        assert [len(each) for each in found] == sizes
        assert len(set.union(*found)) == 60 == world.num_prompts
