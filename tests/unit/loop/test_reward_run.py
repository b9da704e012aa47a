"""Runs that fit a reward model: what they leave behind, what they refuse, and what their report says."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heeler.core.errors import ConfigError, DataError, RunError
from heeler.core.rundir import RunDirectory
from heeler.feedback.datasets import read_pairs, split
from heeler.loop import config as loop_config
from heeler.loop.report import write_report
from heeler.loop.reward_agreement import agreement_of, saved_agreement
from heeler.loop.reward_config import RewardRunConfig, TrunkConfig, reward_config_from_dict
from heeler.loop.reward_running import RewardRunResult, resume_reward_model, run_reward_model
from heeler.models.language.adapters import Lora
from heeler.models.language.small import SmallModelConfig, new_language_model
from heeler.rewards.reward_files import load_reward
from tests.faults.tiny_reward_run import KINDS, config, data_in
from tests.tiny_models import tiny_llama
from tests.unit.rewards.text_pairs import made_pairs


@pytest.fixture(scope="module", params=KINDS)
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RewardRunResult:
    folder = tmp_path_factory.mktemp("reward")
    return run_reward_model(config(request.param, data_in(folder)), folder / "run")


def config_of(result: RewardRunResult) -> RewardRunConfig:
    return reward_config_from_dict(RunDirectory.open(result.path).config())


def test_the_finished_model_says_what_was_judged(finished: RewardRunResult) -> None:
    own = config_of(finished)
    pairs, held_out = split(read_pairs(own.data).items, held_out_share=own.held_out_share, seed=own.seed)
    assert finished.num_pairs == len(pairs)
    margins = load_reward(finished.path / "model").margins(held_out)
    found = saved_agreement(RunDirectory.open(finished.path))
    assert found == finished.agreement
    assert found is not None
    assert found.num_pairs == len(held_out)
    right = np.mean((margins > 0) + 0.5 * (margins == 0))
    assert found.accuracy.mean == pytest.approx(float(right))


def test_a_finished_run_is_left_as_it_is(finished: RewardRunResult) -> None:
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    assert resume_reward_model(finished.path).agreement == finished.agreement
    after = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} <= {
        finished.path / name for name in ("audit.jsonl", "audit.head")
    }


def test_the_report_needs_nothing_else_and_tells_no_path(finished: RewardRunResult) -> None:
    page = write_report(finished.path).read_text()
    for heading in ("Agrees with people", "Shorter is better", "Does it go by length?", "Settings"):
        assert heading in page
    assert "src=" not in page.split("<script")[0]
    assert f"{finished.agreement.accuracy.mean:.1%}" in page


def test_metrics_are_named_as_trl_names_them(finished: RewardRunResult) -> None:
    rows = RunDirectory.open(finished.path).metrics()
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1))
    named = {name for row in rows for name in row}
    assert {"ridge", "foretold_accuracy", "temperature"} <= named
    if config_of(finished).model.learning == "trunk" and config_of(finished).trunk is not None:
        assert {"pretraining_loss", "loss", "accuracy", "margin", "mean_reward", "num_tokens", "epoch"} <= named


def test_changed_data_are_refused(tmp_path: Path) -> None:
    data = data_in(tmp_path)
    run_reward_model(config("ngrams", data), tmp_path / "run")
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(RunError, match="its pairs are not those"):
        resume_reward_model(tmp_path / "run")


def test_a_changed_configuration_is_refused(tmp_path: Path) -> None:
    run = config("ngrams", data_in(tmp_path))
    run_reward_model(run, tmp_path / "run")
    with pytest.raises(RunError, match=r"belongs to another configuration \(differs in seed\)"):
        run_reward_model(replace(run, seed=3), tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("num_heads: 2", "num_heads: 3"))
    with pytest.raises(RunError, match="was changed after step-1 was saved"):
        resume_reward_model(tmp_path / "run")


def test_where_data_or_model_cannot_be_read_nothing_is_written(tmp_path: Path) -> None:
    run = config("ngrams", data_in(tmp_path))
    with pytest.raises(DataError, match="there is no such file"):
        run_reward_model(replace(run, data=str(tmp_path / "none.jsonl")), tmp_path / "run")
    with pytest.raises(DataError, match="not a folder"):
        run_reward_model(replace(run, trunk=TrunkConfig(model=str(tmp_path / "none"))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_from_a_folder_is_the_trunk(tmp_path: Path) -> None:
    tiny_llama().save(tmp_path / "llama")
    run = config("trunk", data_in(tmp_path))
    result = run_reward_model(replace(run, trunk=TrunkConfig(model=str(tmp_path / "llama"))), tmp_path / "run")
    assert not (tmp_path / "run" / "base").exists()
    assert load_reward(result.path / "model").trunk is not None


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_an_adapter_learns_in_place_of_the_trunk(tmp_path: Path) -> None:
    tiny_llama().save(tmp_path / "llama")
    run = config("trunk", data_in(tmp_path))
    trunk = TrunkConfig(model=str(tmp_path / "llama"), lora=Lora(rank=2))
    result = run_reward_model(replace(run, trunk=trunk), tmp_path / "run")
    held_out = made_pairs(6, seed=4)
    loaded = load_reward(result.path / "model")
    assert loaded.trunk is not None and loaded.trunk.has_adapter
    assert np.isfinite(loaded.margins(held_out)).all()


def test_a_damaged_evaluation_is_named(tmp_path: Path) -> None:
    result = run_reward_model(config("ngrams", data_in(tmp_path)), tmp_path / "run")
    (result.path / "evaluation.json").write_text("{}")
    with pytest.raises(RunError, match=r"evaluation\.json cannot be read"):
        resume_reward_model(result.path)


def test_other_commands_say_that_nothing_acts_in_it(tmp_path: Path) -> None:
    run = config("ngrams", data_in(tmp_path))
    with pytest.raises(ConfigError, match="this is the run of a reward model"):
        loop_config.from_dict(loop_config.to_dict(run))


def test_annotators_are_numbered_and_groups_named() -> None:
    pairs = [replace(pair, group="", annotator="ann" if i % 3 else "bob") for i, pair in enumerate(made_pairs(90))]
    found = agreement_of(np.ones(90), pairs, 0)
    assert {name: share.count for name, share in found.by_group.groups.items()} == {
        "annotator 1": 60,
        "annotator 2": 30,
    }
    assert "ann" not in json.dumps(dataclasses.asdict(found)).replace("annotator", "")
    named = agreement_of(np.ones(90), made_pairs(90), 0).by_group.groups
    assert set(named) == {"a", "b"}
    one = [replace(pair, annotator="ann") for pair in made_pairs(90)]
    assert agreement_of(np.ones(90), one, 0).by_group.groups == {}, "groups of one person are not told of"


def test_equal_answers_have_no_say_in_accuracy() -> None:
    pairs = made_pairs(4)
    found = agreement_of(np.array([1.0, -1.0, 2.0, 3.0]), [replace(pairs[0], is_equal=True), *pairs[1:]], 0)
    assert (found.accuracy.mean, found.accuracy.count) == (pytest.approx(2 / 3), 3)
    with pytest.raises(DataError, match="no held-out pair says"):
        agreement_of(np.ones(1), [replace(pairs[0], is_equal=True)], 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": ""}, "data must name"),
        ({"held_out_share": 0.0}, "held_out_share must be"),
        ({"checkpoint_every": 0}, "checkpoint_every must be >= 1"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    plain = {"recipe": "reward-model", "data": "x.jsonl"}
    with pytest.raises(ConfigError, match=message):
        RewardRunConfig(**(plain | settings))  # type: ignore[arg-type]


def test_settings_of_a_trunk_that_would_be_ignored_are_refused() -> None:
    with pytest.raises(ConfigError, match="made would be ignored"):
        TrunkConfig(model="folder", made=SmallModelConfig())
    with pytest.raises(ConfigError, match="lora would leave"):
        TrunkConfig(lora=Lora())
    with pytest.raises(ConfigError, match="hidden_size must be a multiple of"):
        SmallModelConfig(hidden_size=20, num_attention_heads=4)
    with pytest.raises(ConfigError, match="vocabulary_size must be >= 261"):
        SmallModelConfig(vocabulary_size=100)


def test_a_model_made_from_nothing_reads_any_text() -> None:
    size = SmallModelConfig(vocabulary_size=280, hidden_size=8, num_layers=1, num_attention_heads=2)
    texts = ["the theme of the thesis"] * 5
    model = new_language_model(size, texts, seed=0)
    for text in ("the the", "Ünïcödé 😀", "\n\n  x"):
        assert model.text(model.completion_ids(text)) == text
    assert len(model.completion_ids("the")) < 4, "what is common is one token"
    again = new_language_model(size, texts, seed=0)
    assert model.tokenizer.get_vocab() == again.tokenizer.get_vocab()
    weights = [[p.detach() for p in each.module.parameters()] for each in (model, again)]
    assert all((a == b).all() for a, b in zip(*weights, strict=True))
