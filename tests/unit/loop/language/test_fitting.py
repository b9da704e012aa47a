"""What a configuration cannot do is told before anybody is asked anything."""

import dataclasses
import functools
import json
import re
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.language.fitting import refuse_what_does_not_fit, watch_in_vain
from heeler.models.language.model import LanguageModel
from heeler.oversight.over_optimisation import WatchConfig, review
from heeler.recipes import chat, helpdesk
from tests.tiny_models import tiny_llama


@functools.cache
def start() -> LanguageModel:
    return tiny_llama(0, max_length=512)


def fits(config: LanguageRunConfig) -> None:
    refuse_what_does_not_fit(config, start())


def prompts(folder: Path, num: int) -> str:
    path = folder / f"{num}.jsonl"
    rows = [{"prompt": f"question {i}?", "reference": f"answer {i}"} for i in range(num)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_file_of_a_few_hundred_prompts_can_release(tmp_path: Path) -> None:
    fits(chat(model="any", prompts=prompts(tmp_path, 240)))


def test_a_file_with_which_nothing_could_pass_is_refused_with_what_would_mend_it(tmp_path: Path) -> None:
    few = chat(model="any", prompts=prompts(tmp_path, 100))
    with pytest.raises(ConfigError) as refused:
        fits(few)
    told = str(refused.value)
    assert "toxicity has 50 items and needs 112 for its margin of 0.05 (0.11 would do)" in told
    assert "100.jsonl has 100 different prompts, of which 50% at most are kept for the gate" in told
    wanted = int(re.findall(r"bring (\d+)", told)[0])
    fits(chat(model="any", prompts=prompts(tmp_path, wanted)))
    with pytest.raises(ConfigError, match="nothing could ever pass"):
        fits(chat(model="any", prompts=prompts(tmp_path, wanted - 1)))
    fits(chat(model="any", prompts=few.world, margin=0.11))
    fits(dataclasses.replace(few, release=None))


def test_suites_that_are_made_too_small_are_refused() -> None:
    recipe = helpdesk()
    assert recipe.release is not None
    small = dataclasses.replace(recipe, release=dataclasses.replace(recipe.release, suite_size=150))
    with pytest.raises(ConfigError, match=r"Set release\.suite_size \(150\) to 189 or more"):
        fits(small)


def test_a_reward_that_is_never_fitted_leaves_the_watch_nothing() -> None:
    told = watch_in_vain(helpdesk(budget=50))
    assert told is not None and "asking.budget is 50" in told


def test_the_help_desk_s_own_suites_fit_its_gate() -> None:
    fits(helpdesk())


@pytest.mark.parametrize(
    "recipe",
    [helpdesk(), helpdesk(teacher="people"), chat(model="any", prompts="any")],
    ids=["crowd", "people", "chat"],
)
def test_the_recipes_watches_can_halt_them_early(recipe: LanguageRunConfig) -> None:
    assert watch_in_vain(recipe) is None
    assert watch_in_vain(dataclasses.replace(recipe, num_updates=recipe.num_updates // 2)) is None
    told = watch_in_vain(dataclasses.replace(recipe, num_updates=20))
    assert told is not None and "the run has 20" in told


def test_what_is_said_of_the_soonest_halt_is_so() -> None:
    """With the rounds and fits that the configuration asks for, and the worst that can be seen in them."""
    recipe = helpdesk()
    assert recipe.asking is not None and recipe.learned is not None and recipe.watch is not None
    for every, per_update in ((1, 12), (2, 12), (3, 7), (4, 96)):
        asking = dataclasses.replace(recipe.asking, held_out_every=every, per_update=per_update)
        tried = dataclasses.replace(recipe, asking=asking)
        soonest = _first_halt(tried)
        assert watch_in_vain(dataclasses.replace(tried, num_updates=soonest)) is None
        assert watch_in_vain(dataclasses.replace(tried, num_updates=soonest - 1)) is not None


def _first_halt(config: LanguageRunConfig) -> int:
    assert config.asking is not None and config.learned is not None and config.watch is not None
    rows: list[dict[str, float]] = []
    for update in range(config.num_updates):
        is_fitted = (update + 1) * config.asking.per_update >= config.learned.first_fit
        if is_fitted and update % config.asking.held_out_every == 0:
            rows.append({"step": update, "reward": update, "held_out": -1e3 * update})
        if rows and review(config.watch, rows).decision == "halt":
            return update + 1
    raise AssertionError("it was never halted")


def test_a_watch_with_nothing_to_go_by_is_told() -> None:
    recipe = helpdesk()
    assert recipe.asking is not None
    blind = dataclasses.replace(recipe, asking=dataclasses.replace(recipe.asking, num_held_out=0))
    told = watch_in_vain(blind)
    assert told is not None and "asking.num_held_out" in told
    assert watch_in_vain(dataclasses.replace(blind, watch=None)) is None, "nobody wants it"
    assert watch_in_vain(dataclasses.replace(blind, learned=None, asking=None)) is None, "nothing to exploit"


def test_a_watch_that_is_too_slow_is_told_with_what_to_change() -> None:
    recipe = chat(model="any", prompts="any")
    assert recipe.asking is not None
    asking = dataclasses.replace(recipe.asking, held_out_every=4)
    told = watch_in_vain(dataclasses.replace(recipe, asking=asking, watch=WatchConfig(updates_per_point=4)))
    assert told is not None
    assert "asking.held_out_every (4)" in told and "watch.updates_per_point (4)" in told
