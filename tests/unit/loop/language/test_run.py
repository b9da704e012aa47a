"""The loop of a language model with a tiny model: to its end, killed and gone on with, steered, watched and gated."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heeler.cli import main
from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, RunStopped
from heeler.core.nouns import Feedback, Message, Query, TextSegment, stable_id
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.core.verdict import Verdict
from heeler.feedback.completions import CHAT, GUARD_ACTS
from heeler.feedback.stores import open_store
from heeler.feedback.told import PAUSED
from heeler.loop.by_hand import tell
from heeler.loop.config import to_dict
from heeler.loop.holding import Holding
from heeler.loop.language import run as run_module
from heeler.loop.language.asking import HELD_OUT
from heeler.loop.language.config import LanguageRunConfig, PartWeights, language_config_from_dict
from heeler.loop.language.run import LanguageRun, Metrics
from heeler.loop.language.running import Listeners, resume_language, run_language
from heeler.loop.report import write_report
from heeler.loop.run_model import MODEL
from heeler.loop.serving import ServeOptions, chat_of
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.oversight.finding import Finding
from heeler.oversight.gate_nouns import GateResult
from heeler.oversight.interventions import InterventionsConfig, RuleConfig
from tests.tiny_models import tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama(max_length=1024).save(folder)
    return folder


@pytest.fixture(scope="module")
def config(base: Path) -> LanguageRunConfig:
    return tiny_language_run(base)


@pytest.fixture(scope="module")
def ungated(config: LanguageRunConfig) -> LanguageRunConfig:
    """The same without candidates: to judge two takes longer than the rest of the run."""
    return dataclasses.replace(config, release=None)


@pytest.fixture(scope="module")
def finished(config: LanguageRunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    run_language(config, path)
    return path


@pytest.fixture
def begun(config: LanguageRunConfig, tmp_path: Path) -> Iterator[LanguageRun]:
    """A run that a test steps by itself, of which people answer."""
    yield from stepped(config, tmp_path / "run")


def stepped(config: LanguageRunConfig, path: Path) -> Iterator[LanguageRun]:
    directory = RunDirectory.create(path, to_dict(config))
    load_language_model(config.model.path, trainable=False).save(path / MODEL)
    with open_store(directory) as store:
        run = LanguageRun(directory, config, store)
        run.begin()
        yield run


def tensors(path: Path, step: int) -> dict[str, np.ndarray]:
    return RunDirectory.open(path).load_checkpoint(step).tensors


def test_a_run_leaves_metrics_answers_checkpoints_and_candidates(finished: Path, config: LanguageRunConfig) -> None:
    directory = RunDirectory.open(finished)
    rows = directory.metrics()
    assert [row["step"] for row in rows] == [12, 24, 36, 48], "steps count completions"
    assert {"reward", "kl", "entropy", "completions/mean_length", "costs/toxicity/mean"} <= set(rows[-1])
    assert ["held_out" in row for row in rows] == [True, False, True, False], "every other update"
    assert "rewards/learned/mean" in rows[-1]
    assert "rewards/learned/mean" not in rows[0], "before the first fit the learned reward says nothing"
    with open_store(directory) as store:
        queries = [query for _, query, _ in store.newest_queries(limit=100)]
        assert store.counts()["feedback"] == len(queries)
    assert {query.acquisition for query in queries} == {"random", "disagreement", HELD_OUT}
    assert rows[-1]["asked"] == sum(query.acquisition != HELD_OUT for query in queries)
    releases = Releases(directory).all()
    assert sorted(release.step for release in releases) == [24, 48]
    acts = [entry.act for entry in entries(finished / AUDIT_NAME, after=0, limit=100)]
    assert acts[:2] == ["run.begin", "watch.in_vain"], "four updates are too few to halt any"
    assert acts[-1] == "run.finish"
    assert acts.count("gate.decide") == 2
    checkpoint, _ = directory.newest_checkpoint()
    assert checkpoint is not None
    assert len(checkpoint.state["monitors"]["monitors"]["kl_spike"]["spike"]["jump"]["past"]) == 4


def test_the_policy_moves_and_the_reference_does_not(finished: Path, base: Path) -> None:
    first = dict(load_language_model(base, trainable=False).module.named_parameters())
    last = tensors(finished, 48)
    moved = [not np.array_equal(last[f"model.{name}"], value.detach().numpy()) for name, value in first.items()]
    assert all(moved)
    kept = dict(load_language_model(finished / MODEL, trainable=False).module.named_parameters())
    assert all(np.array_equal(kept[name].detach(), value.detach()) for name, value in first.items())


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_that_was_killed_ends_bit_for_bit_as_if_it_had_not_been(
    at: int, finished: Path, config: LanguageRunConfig, tmp_path: Path
) -> None:
    def kill(row: Metrics) -> None:
        if row["update"] == at:
            raise KeyboardInterrupt

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_language(config, path, Listeners(on_metrics=kill))
    # What the killed stretch said stays in the store, and is not learned from twice.
    resume_language(path)
    ours, theirs = tensors(path, 48), tensors(finished, 48)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []
    without_times = [
        [{k: v for k, v in row.items() if not k.endswith("_s")} for row in RunDirectory.open(one).metrics()]
        for one in (path, finished)
    ]
    assert without_times[0] == without_times[1]
    assert len(Releases(RunDirectory.open(path)).all()) == 2, "each candidate is offered once"


def test_the_report_and_the_evaluation_tell_of_before_and_after(finished: Path) -> None:
    page = write_report(finished).read_text()
    for words in ("Truthfulness", "before learning", "Gate", "Multipliers"):
        assert words in page, words
    suites = json.loads((finished / "evaluation.json").read_bytes())["suites"]
    assert suites["toxicity"]["num_items"] == 6


def test_the_configuration_survives_its_file(config: LanguageRunConfig) -> None:
    assert language_config_from_dict(to_dict(config)) == config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rloo": None}, "exactly one"),
        ({"num_each": 1}, "num_each"),
        ({"chat_share": 1.5}, "chat_share"),
        ({"learned": None}, "asking would be ignored"),
        ({"answers_per_update": -1}, "answers_per_update"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    changes: dict[str, Any], words: str, config: LanguageRunConfig
) -> None:
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(config, **changes)


def test_a_charge_for_disagreement_that_nothing_would_ask_for_is_refused(config: LanguageRunConfig) -> None:
    assert config.learned is not None
    with pytest.raises(ConfigError, match=r"learned\.pessimism would be ignored: combine is 'mean'"):
        dataclasses.replace(config.learned, combine="mean", pessimism=1.0)


def test_a_gate_that_asks_for_a_suite_that_is_not_there_is_refused_before_anything_is_written(
    config: LanguageRunConfig, tmp_path: Path
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"question {i}?"}) + "\n" for i in range(20)))
    with pytest.raises(ConfigError, match="has no suite"):
        asking = dataclasses.replace(config.asking, teacher="people") if config.asking else None
        run_language(dataclasses.replace(config, world=str(prompts), asking=asking), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_prompt_of_a_file_that_is_too_long_is_refused_before_anything_is_written(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts, run = tmp_path / "prompts.jsonl", tmp_path / "run"
    rows = [{"prompt": "x" * (2000 if i == 7 else 9) + str(i), "reference": "so"} for i in range(20)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["run", "chat", "--model", str(base), "--prompts", str(prompts), "--run-dir", str(run), "--no-serve"]
    assert main(arguments) == 2
    assert f"{prompts}, line 8, prompt: 2001 tokens, and the model's context holds 1024" in capsys.readouterr().err
    assert not run.exists()


def test_what_is_said_in_a_chat_is_learned_from_and_asked_again(begun: LanguageRun) -> None:
    prompted = begun.world.prompts("train", 1, seed=99)[0]
    segment = TextSegment(prompt=prompted.prompt, completion="You fool.", policy_version=0)
    begun.store.add_annotator("ann", "person")
    begun.store.add_segments([segment])
    query = Query(
        id=stable_id("chat"),
        kind="evaluation",
        segment_ids=(segment.id,),
        policy_version=0,
        asked_step=0,
        acquisition=CHAT,
    )
    begun.store.add_queries([query])
    thumb = Feedback(
        key=stable_id("thumb"),
        query_id=query.id,
        kind="evaluation",
        value={"marks": [{"time_s": 0.0, "sign": -1}]},
        annotator="ann",
    )
    begun.store.add_feedback([thumb])
    begun.iterate()
    pair = next(pair for pair in begun.asking.pairs.values() if pair.group == "evaluation")
    assert pair.rejected == "You fool."
    assert [each.prompt for each in begun.asking.from_chats(1, seed=0)] == [prompted.prompt]
    begun.store.withdrawals.forget("ann", "remove")
    begun.iterate()
    assert all(pair.group != "evaluation" for pair in begun.asking.pairs.values())
    assert not begun.asking.chat_prompts


def test_what_guards_of_its_chat_did_stands_in_the_metrics(begun: LanguageRun) -> None:
    row = begun.iterate()
    assert row is not None and not any(name.startswith("guards/") for name in row)
    begun.store.set_setting(GUARD_ACTS, {"incoming/injection": 2})
    row = begun.iterate()
    assert row is not None and row["guards/incoming/injection"] == 2
    assert begun.directory.metrics()[-1]["guards/incoming/injection"] == 2


def thumb_in_a_chat(run: LanguageRun, prompt: str, *, number: int) -> None:
    """Somebody's thumb down on an answer in a chat, kept as the service keeps it."""
    segment = TextSegment(prompt=(Message(role="user", content=prompt),), completion="No.", policy_version=0)
    query = Query(
        id=stable_id("chat", number),
        kind="evaluation",
        segment_ids=(segment.id,),
        policy_version=0,
        asked_step=0,
        acquisition=CHAT,
    )
    value = {"marks": [{"time_s": 0.0, "sign": -1}]}
    key = stable_id("thumb", number)
    run.store.add_segments([segment])
    run.store.add_queries([query])
    run.store.add_feedback([Feedback(key=key, query_id=query.id, kind="evaluation", value=value, annotator="ann")])


def test_a_chat_that_the_model_cannot_read_any_more_is_left_out_and_counted(
    config: LanguageRunConfig, tmp_path: Path
) -> None:
    """Its marks made it longer than the context. The learner goes on, also where it was killed after that."""
    for run in stepped(config, tmp_path / "run"):
        run.store.add_annotator("ann", "person")
        thumb_in_a_chat(run, "[redacted] " * 200, number=0)
        thumb_in_a_chat(run, "Why?", number=1)
        first, second = run.iterate(), run.iterate()
        assert first is not None and second is not None and (first["left_out"], second["left_out"]) == (1, 1)
        assert [pair.prompt[0].content for pair in run.asking.pairs.values() if pair.group == "evaluation"] == ["Why?"]
        assert len(run.asking.from_chats(9, seed=0)) == 1
        run.save()
    directory = RunDirectory.open(tmp_path / "run")
    with open_store(directory) as store:
        again = LanguageRun(directory, config, store)
        again.begin()
        assert again.asking.num_left_out == 1
        third = again.iterate()
        assert third is not None and third["left_out"] == 1


def test_learning_waits_for_people_and_goes_on_with_their_answers(
    config: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.asking is not None
    monkeypatch.setattr(run_module, "_POLL_S", 0.0)
    asking = dataclasses.replace(config.asking, teacher="people", num_held_out=0)
    slow = dataclasses.replace(config, asking=asking, answers_per_update=2)
    for run in stepped(slow, tmp_path / "run"):
        assert run.iterate() is not None, "metrics alone teach something in the first update"
        assert run.iterate() is None, "and then two answers are wanted"
        run.store.add_annotator("ann", "person")
        for number, query in enumerate(run.store.open_queries(2)):
            key = stable_id("answer", number)
            said = Feedback(key=key, query_id=query.id, kind="preference", value={"choice": "left"}, annotator="ann")
            run.store.add_feedback([said])
        assert run.iterate() is not None
        assert run.asking.num_answered == 2


def test_an_operator_rolls_back_and_sets_the_budget(begun: LanguageRun) -> None:
    for _ in range(2):
        begun.iterate()
    assert begun.set_budget(3) == 1500
    assert begun.asking.num_due == 0
    begun.iterate()
    begun.roll_back(24)
    assert (begun.step, begun.update, begun.asking.budget) == (24, 2, 1500)
    assert len(begun.directory.metrics()) == 2


def test_the_watch_stops_learning_with_its_evidence_and_whoever_goes_on_has_seen_it(
    ungated: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halt(config: object, rows: list[Any]) -> Verdict:
        decision = "halt" if len(rows) >= 1 else "allow"
        return Verdict(decision=decision, reason="Over-optimisation: told.", evidence={"nearness": 1.5})

    monkeypatch.setattr(run_module, "review", halt)
    path = tmp_path / "run"
    with pytest.raises(RunStopped, match="Over-optimisation"):
        run_language(ungated, path)
    stopped_at = RunDirectory.open(path).metrics()[-1]["update"]
    assert stopped_at < ungated.num_updates
    monkeypatch.setattr(
        run_module, "review", lambda config, rows: Verdict(decision="allow", evidence={"nearness": 0.0})
    )
    resume_language(path)
    acts = [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=100)]
    assert "watch.halt" in acts and "run.stop" in acts and acts[-1] == "run.finish"


def with_few_pairs(config: LanguageRunConfig, first_fit: int) -> LanguageRunConfig:
    """Nothing but the learned reward to learn from, fitted once there are so many pairs."""
    assert config.learned is not None
    learned = dataclasses.replace(config.learned, first_fit=first_fit)
    return dataclasses.replace(config, parts=PartWeights(), learned=learned, release=None)


def test_a_run_without_metrics_goes_on_asking_until_its_reward_can_be_fitted(
    config: LanguageRunConfig, tmp_path: Path
) -> None:
    """A crowd answers at once, so that there is nothing to wait for."""
    for run in stepped(with_few_pairs(config, 12), tmp_path / "run"):
        rows = [run.iterate() for _ in range(config.num_updates)]
        assert all(row is not None for row in rows)
        fitted = ["rewards/learned/mean" in (row or {}) for row in rows]
        assert (fitted[0], fitted[-1]) == (False, True)


def test_people_who_are_the_only_teachers_are_waited_for_and_asked_again(
    config: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_POLL_S", 0.0)
    assert config.asking is not None
    people = dataclasses.replace(config.asking, teacher="people", num_held_out=0, per_update=3)
    alone = with_few_pairs(dataclasses.replace(config, asking=people, answers_per_update=9), 10)
    for run in stepped(alone, tmp_path / "run"):
        run.store.add_annotator("ann", "person")
        for _ in range(3):
            assert run.iterate() is not None, "no more is waited for than was asked"
            assert run.iterate() is None
            answer_all(run, "ann")
        assert run.asking.num_asked == 9
    with pytest.raises(ConfigError, match="answers_per_update must be >= 1"):
        dataclasses.replace(alone, answers_per_update=0)


def answer_all(run: LanguageRun, annotator: str) -> None:
    """Somebody says of every open pair that the left one is better."""
    for query in run.store.open_queries(99):
        key, choice = stable_id("answer", query.id), {"choice": "left"}
        said = Feedback(key=key, query_id=query.id, kind="preference", value=choice, annotator=annotator)
        run.store.add_feedback([said])


def test_a_withdrawn_answer_leaves_the_learned_reward_too(config: LanguageRunConfig, tmp_path: Path) -> None:
    assert config.asking is not None
    people = dataclasses.replace(config.asking, teacher="people", num_held_out=0)
    for run in stepped(dataclasses.replace(config, asking=people), tmp_path / "run"):
        run.store.add_annotator("ann", "person")
        for _ in range(4):
            answer_all(run, "ann")
            run.iterate()
        assert run.rewarding.is_fitted
        run.store.withdrawals.forget("ann", "remove")
        run.iterate()
        assert not run.asking.pairs
        assert not run.rewarding.is_fitted, "what is left is too little for a fit"


@pytest.mark.slow
def test_an_adapter_is_learned_gated_and_served(
    config: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Releases of such a run hold the adapter alone."""
    passed = GateResult(decision="release", reasons=("told so",), checks=())
    monkeypatch.setattr("heeler.loop.text_gating.run_gate", lambda *_, **__: (passed, {}))
    lora = dataclasses.replace(config, model=dataclasses.replace(config.model, lora=Lora(rank=2)))
    run_language(lora, tmp_path / "run")
    in_use = Releases(RunDirectory.open(tmp_path / "run")).in_use()
    assert in_use is not None and in_use.step == 48, "the second candidate was compared with the first"
    names = [name for name in tensors(tmp_path / "run", 48) if name.startswith("model.")]
    assert names and all("lora" in name for name in names)
    served = chat_of(tmp_path / "run", ServeOptions(guards=None))
    try:
        assert served.setup.engine.model().version == 4
    finally:
        served.setup.engine.close()
    run_language(lora, tmp_path / "again")
    for name, array in tensors(tmp_path / "run", 48).items():
        assert np.array_equal(array, tensors(tmp_path / "again", 48)[name]), f"{name}: an adapter begins by the seed"


def test_simulated_users_are_refused_where_nobody_knows_what_is_good(config: LanguageRunConfig, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": f"question {i}?"}) + "\n" for i in range(20)))
    with pytest.raises(ConfigError, match=r"asking\.teacher must be people"):
        run_language(dataclasses.replace(config, world=str(prompts), release=None), tmp_path / "run")


def test_a_run_that_was_killed_before_its_model_was_there_is_gone_on_with(
    config: LanguageRunConfig, tmp_path: Path
) -> None:
    one = dataclasses.replace(config, num_updates=1, release=None)
    RunDirectory.create(tmp_path / "run", to_dict(one))
    resume_language(tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run").checkpoint_steps() == [12]


def test_a_run_that_the_watch_paused_goes_on_once_somebody_has_it_go_on(
    ungated: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the learner was killed while it was paused: the same evidence does not pause it again."""

    def halt(config: object, rows: list[Any]) -> Verdict:
        decision = "halt" if rows and rows[0]["step"] < 40 else "allow"
        return Verdict(decision=decision, reason="Over-optimisation: told.", evidence={"nearness": 1.5})

    monkeypatch.setattr(run_module, "review", halt)
    path = tmp_path / "run"
    with pytest.raises(RunStopped):
        run_language(ungated, path)
    with open_store(RunDirectory.open(path)) as store:
        store.set_setting(PAUSED, None)
    resume_language(path)
    assert RunDirectory.open(path).metrics()[-1]["update"] == ungated.num_updates


def told_at(path: Path, told: dict[int, str]) -> Listeners:
    """Has a run told something once it has made so many updates."""

    def tell_it(row: Metrics) -> None:
        kind = told.pop(int(row["update"]), None) if "elapsed_s" in row else None
        if kind is not None:
            tell(path, kind, None, person="op")  # type: ignore[arg-type]

    return Listeners(on_metrics=tell_it)


def test_a_frozen_model_goes_on_answering_and_does_not_change(ungated: LanguageRunConfig, tmp_path: Path) -> None:
    run_language(ungated, tmp_path / "run", told_at(tmp_path / "run", {2: "freeze"}))
    directory = RunDirectory.open(tmp_path / "run")
    rows = directory.metrics()
    assert [row.get("held") for row in rows] == [None, None, 2, 2]
    assert ["grad_norm" in row for row in rows] == [True, True, False, False]
    before, after = tensors(directory.path, 24), tensors(directory.path, 48)
    kept = [name for name in before if name.startswith(("model.", "learner."))]
    assert kept
    assert all(np.array_equal(before[name], after[name]) for name in kept)


def test_a_slowed_model_that_is_stopped_goes_on_slowed(ungated: LanguageRunConfig, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "run"
    run_language(ungated, whole, told_at(whole, {2: "slow"}))
    with pytest.raises(RunStopped):
        run_language(ungated, path, told_at(path, {2: "slow", 3: "stop"}))
    resume_language(path)
    rates = [row["learning_rate"] for row in RunDirectory.open(whole).metrics()]
    full = ungated.learner.config.optimizer
    assert rates == pytest.approx([full.rate(n, n / 4) * (0.1 if n >= 2 else 1) for n in range(4)])
    last = tensors(path, 48)
    assert all(np.array_equal(value, last[name]) for name, value in tensors(whole, 48).items())


def test_a_model_does_not_fall_back_while_it_learns(ungated: LanguageRunConfig, tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_language(ungated, path, told_at(path, {1: "fall_back"}))
    with open_store(RunDirectory.open(path)) as store:
        ((_, command),) = store.commands(limit=9)
    assert command.outcome is not None
    assert command.outcome.startswith("refused: what a model answers while it learns goes to nobody: freeze it")
    assert "held" not in RunDirectory.open(path).metrics()[-1]


def test_a_rollback_does_not_thaw_a_model(begun: LanguageRun) -> None:
    begun.iterate()
    begun.save()
    assert begun.hold("freeze", by="a person", reason="asked for") == "frozen since step 12"
    begun.iterate()
    begun.save()
    begun.roll_back(12)
    assert not begun.holding.learns
    assert begun.directory.load_checkpoint(12).state["holding"]["held"]["level"] == "freeze"
    assert begun.thaw() == "learns freely; it was frozen since step 12"
    assert begun.directory.load_checkpoint(12).state["holding"] is None
    assert begun.come_to_rest() == "nothing moves between two updates"


def test_a_rule_holds_a_model_and_goes_on_after_a_stop(
    ungated: LanguageRunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Holding.decide

    def find(holding: Holding, update: int) -> None:
        if update == 2:
            holding.findings = [Finding(monitor="kl_spike", step=24, reason="odd")]
        decide(holding, update)

    monkeypatch.setattr(Holding, "decide", find)
    rules = InterventionsConfig(rules=(RuleConfig(monitor="kl_*", act="freeze"),))
    path = tmp_path / "run"
    with pytest.raises(RunStopped):
        run_language(dataclasses.replace(ungated, interventions=rules), path, told_at(path, {3: "stop"}))
    resume_language(path)
    assert [row.get("held") for row in RunDirectory.open(path).metrics()] == [None, None, 2, 2]
    acts = [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=100)]
    assert acts.count("intervention.freeze") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rules": (RuleConfig(monitor="kl_spike", act="warn", then=("fall_back",)),)}, "freeze it instead"),
        ({"trusted": "zero"}, "interventions.trusted would be ignored"),
        ({"rest_within_steps": 5}, "interventions.rest_within_steps would be ignored"),
    ],
)
def test_interventions_that_are_for_worlds_are_refused(
    config: LanguageRunConfig, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(config, interventions=InterventionsConfig(**settings))
