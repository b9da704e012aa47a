"""The live loop with each learner that there is: it learns, goes on after a kill, and is named by its settings."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.algorithms.dpo import DPOConfig
from heeler.algorithms.grpo import GRPOConfig
from heeler.algorithms.online_dpo import OnlineDPOConfig
from heeler.algorithms.ppo_text import TextPPOConfig
from heeler.core.rundir import RunDirectory
from heeler.loop.config import to_dict
from heeler.loop.language.config import LanguageRunConfig, language_config_from_dict
from heeler.loop.language.run import Metrics
from heeler.loop.language.running import Listeners, resume_language, run_language
from heeler.loop.report import write_report
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.weights import OptimizerConfig
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run

_STEP = OptimizerConfig(learning_rate=5e-4)
LEARNERS: dict[str, Any] = {
    "grpo": GRPOConfig(optimizer=_STEP, num_epochs=2, num_minibatches=2),
    "ppo": TextPPOConfig(optimizer=_STEP, num_epochs=2, num_minibatches=2),
    "online_dpo": OnlineDPOConfig(dpo=DPOConfig(optimizer=_STEP)),
}
OWN = {
    "grpo": {"clip_ratio/region_mean", "frac_reward_zero_std"},
    "ppo": {"value_loss", "explained_variance", "kl_coefficient"},
    "online_dpo": {"rewards/margins", "frac_without_pair", "num_pairs"},
}
"""What each tells beside what all tell."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama(max_length=1024).save(folder)
    return folder


def config_with(name: str, base: Path, **changes: Any) -> LanguageRunConfig:
    """Without candidates: to judge them takes longer than the rest of the run, and is the same for all learners."""
    own = {"rloo": None, name: LEARNERS[name], "release": None}
    return dataclasses.replace(tiny_language_run(base), **(own | changes))


@pytest.fixture(scope="module", params=LEARNERS)
def finished(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A learner's name, and a run of it that nobody disturbed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    run_language(config_with(request.param, base), path)
    return request.param, path


def weights(path: Path) -> dict[str, np.ndarray]:
    return RunDirectory.open(path).load_checkpoint(48).tensors


def test_a_run_learns_and_tells_how(finished: tuple[str, Path], base: Path) -> None:
    name, path = finished
    rows = RunDirectory.open(path).metrics()
    assert [row["step"] for row in rows] == [12, 24, 36, 48]
    common = {"reward", "kl", "entropy", "grad_norm", "completions/mean_length", "loss"}
    for row in rows[1:]:
        assert common | OWN[name] <= row.keys()
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5), "it begins where its reference is"
    assert rows[-1]["kl_per_completion"] > 1e-6, "and has gone from there"
    first = dict(load_language_model(base, trainable=False).module.named_parameters())
    last = weights(path)
    assert all(not np.array_equal(last[f"model.{name}"], value.detach().numpy()) for name, value in first.items())
    assert "KL to the reference" in write_report(path).read_text()


def test_a_run_that_was_killed_ends_bit_for_bit_as_if_it_had_not_been(
    finished: tuple[str, Path], base: Path, tmp_path: Path
) -> None:
    """Also values, a head beside the model, and what shuffles minibatches."""
    name, path = finished

    def kill(row: Metrics) -> None:
        if row["update"] == 3:
            raise KeyboardInterrupt

    again = tmp_path / "run"
    config = config_with(name, base, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        run_language(config, again, Listeners(on_metrics=kill))
    assert RunDirectory.open(again).checkpoint_steps() == [24]
    resume_language(again)
    ours, theirs = weights(again), weights(path)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


@pytest.mark.parametrize("name", LEARNERS)
def test_an_adapter_learns_too(name: str, base: Path, tmp_path: Path) -> None:
    plain = config_with(name, base, num_updates=2)
    run_language(
        dataclasses.replace(plain, model=dataclasses.replace(plain.model, lora=Lora(rank=2))), tmp_path / "run"
    )
    rows = RunDirectory.open(tmp_path / "run").metrics()
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5) and "grad_norm" in rows[-1]


@pytest.mark.parametrize("name", LEARNERS)
def test_its_configuration_survives_its_file(name: str, base: Path) -> None:
    config = config_with(name, base)
    assert language_config_from_dict(to_dict(config)) == config
