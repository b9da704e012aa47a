"""A candidate through the gate: paired by item and seed, resumed where it was killed, recorded whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from heeler.core.errors import ConfigError, RunError
from heeler.core.gate_records import GateRecords
from heeler.core.rundir import RunDirectory
from heeler.core.texts import TextSample
from heeler.evaluation.suite_kinds import toxicity, truthfulness
from heeler.evaluation.text_suites import Answer, Item, Prompt
from heeler.loop.text_gating import Version, gate_candidate
from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_records import recheck

CONFIG = GateConfig(
    checks=(
        Check(suite="truthfulness", better="higher", margin=0.1),
        Check(suite="toxicity", better="lower", margin=0.1, is_goal=False),
    ),
    batch_size=8,
)
ITEMS = [Item(prompt=(), columns={"number": number}) for number in range(150)]


class Model:
    """Says the truth with a probability; its luck is that of seed and prompt."""

    def __init__(self, truth: float, die_after: int | None = None) -> None:
        self.truth, self.left, self.seeds = truth, die_after, []

    def answer(self, prompts: Sequence[Prompt], *, seed: int) -> list[Answer]:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        self.seeds.append(seed)
        return [Answer(text="true" if self.luck(seed, i) < self.truth else "false") for i in range(len(prompts))]

    @staticmethod
    def luck(seed: int, i: int) -> float:
        return int.from_bytes(hashlib.sha256(f"{seed} {i}".encode()).digest()[:4]) / 2**32

    def surprise(self, samples: Sequence[TextSample]) -> list[float]:
        raise AssertionError("no suite here asks for it")


SUITES = (truthfulness(ITEMS, lambda s: float(s.completion == "true")), toxicity(ITEMS, lambda s: 0.0))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", {"seed": 1})


def gate(directory: RunDirectory, truth: float, *, seed: int = 5, suites=SUITES, config=CONFIG, **settings):
    candidate = Version(subject=settings.pop("model", Model(truth)), checkpoint_sha256="c" * 64)
    current = Version(subject=Model(0.6), checkpoint_sha256=None)
    return gate_candidate(directory, config, suites, candidate=candidate, current=current, seed=seed, **settings)


def test_a_better_model_passes_and_its_record_is_kept(directory):
    told = []
    record = gate(directory, 0.95, watch=lambda suite, ours, theirs: told.append((suite, ours.item == theirs.item)))
    assert record.passed
    assert GateRecords(directory).all() == [record]
    assert recheck(record).decision == "release"
    assert set(told) == {("truthfulness", True), ("toxicity", True)}
    assert record.details["suites"] == {suite.name: suite.sha256 for suite in SUITES}
    assert not list((directory.path / "gates").glob(".*")), "nothing half done stays"


def test_a_worse_model_is_kept_back_with_reasons(directory):
    record = gate(directory, 0.2)
    assert not record.passed
    assert record.reasons[0].startswith("truthfulness: worse by more than 0.1")


def test_both_are_asked_with_the_same_seeds_and_none_twice(directory):
    ours = Model(0.95)
    theirs = Model(0.6)
    gate_candidate(
        directory,
        CONFIG,
        SUITES,
        candidate=Version(subject=ours, checkpoint_sha256="c"),
        current=Version(subject=theirs, checkpoint_sha256=None),
        seed=5,
    )
    assert ours.seeds == theirs.seeds
    assert len(set(ours.seeds)) == len(ours.seeds)


def test_killed_anywhere_it_goes_on_to_the_same_record(directory, tmp_path):
    asked = Model(0.95)
    whole = gate(directory, 0.95, model=asked)
    for die_after in range(len(asked.seeds)):
        other = RunDirectory.create(tmp_path / f"run-{die_after}", {"seed": 1})
        with pytest.raises(KeyboardInterrupt):
            gate(other, 0.95, model=Model(0.95, die_after=die_after))
        assert GateRecords(other).all() == []
        after = Model(0.95)
        assert gate(other, 0.95, model=after) == whole
        # Rounds that were ended are not asked again: of two suites, the first of a round may be.
        assert len(after.seeds) <= len(asked.seeds) - die_after + 1


def test_the_order_of_items_is_the_seed_s_and_not_the_file_s(directory):
    turned = tuple(replace(suite, items=suite.items[::-1]) for suite in SUITES)
    assert gate(directory, 0.95) == gate(directory, 0.95, suites=turned)
    assert gate(directory, 0.95, seed=6) != gate(directory, 0.95)


def test_suites_and_checks_have_to_fit(directory):
    with pytest.raises(ConfigError, match="checks name the suites toxicity, truthfulness, but there are truthfulness"):
        gate(directory, 0.95, suites=SUITES[:1])
    wrong = replace(CONFIG, checks=(replace(CONFIG.checks[0], better="lower"), CONFIG.checks[1]))
    with pytest.raises(ConfigError, match=r"checks\.truthfulness\.better: the suite's score is better higher"):
        gate(directory, 0.95, config=wrong)


def test_scores_that_were_harmed_are_named(directory):
    with pytest.raises(KeyboardInterrupt):
        gate(directory, 0.95, model=Model(0.95, die_after=4))
    (progress,) = (directory.path / "gates").glob(".open-*")
    progress.write_text("{")
    with pytest.raises(RunError, match=r"\.open-.* cannot be read"):
        gate(directory, 0.95)
