"""Runs that learn from stored texts: what they leave, that they can be killed, and what they refuse."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.audit import AUDIT_NAME, entries
from heeler.core.errors import ConfigError, DataError, LearningError, RunError
from heeler.core.rundir import RunDirectory
from heeler.loop import config as loop_config
from heeler.loop.config import to_dict
from heeler.loop.offline.config import OfflineRunConfig, offline_config_from_dict
from heeler.loop.offline.evaluation import saved_held_out
from heeler.loop.offline.material import batch_of, labels_of, read_material
from heeler.loop.offline.running import OfflineResult, resume_offline, run_offline
from heeler.loop.report import write_report
from heeler.loop.serving import ServeOptions, chat_of
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.recipes import dpo, sft
from tests.tiny_models import adapter_on, tiny_llama
from tests.unit.loop.offline.tiny import METHODS, file_of, rows_for, tiny_offline_run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "model"
    tiny_llama().save(folder)
    return folder


@pytest.fixture(scope="module", params=METHODS)
def finished(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> OfflineResult:
    """A run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny_offline_run(request.param, base, file_of(folder, rows_for(request.param)))
    return run_offline(config, folder / "run")


def config_of(result: OfflineResult) -> OfflineRunConfig:
    return offline_config_from_dict(RunDirectory.open(result.path).config())


def newest(path: Path) -> dict[str, np.ndarray]:
    checkpoint, refused = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None and refused == []
    return checkpoint.tensors


def without_times(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "elapsed_s"} for row in RunDirectory.open(path).metrics()]


def test_a_run_leaves_metrics_checkpoints_acts_and_a_better_model(finished: OfflineResult) -> None:
    directory, config = RunDirectory.open(finished.path), config_of(finished)
    rows = directory.metrics()
    per_epoch = finished.num_texts // config.batch_size
    assert per_epoch >= 2, "or nothing would be asked of the order"
    assert [row["step"] for row in rows] == list(range(1, 2 * per_epoch + 1))
    assert rows[-1]["epoch"] == 2
    measured = ["held_out/loss" in row for row in rows]
    assert measured == [row["step"] % 2 == 0 or row is rows[-1] for row in rows]
    assert {"loss", "grad_norm", "learning_rate", "entropy"} <= rows[-1].keys()
    found = finished.held_out
    assert found == saved_held_out(directory)
    assert found.after["loss"] == rows[-1]["held_out/loss"]
    assert found.after["loss"] < found.before["loss"]
    if config.sft is None:
        assert found.after["accuracies"] > 0.7 and found.after["margins"] > 0
    acts = [entry.act for entry in entries(finished.path / AUDIT_NAME, after=0, limit=100)]
    assert acts == ["run.begin", "run.finish"]


def test_the_finished_model_is_that_of_the_last_checkpoint(finished: OfflineResult) -> None:
    model = load_language_model(finished.path / "model", trainable=False)
    flat = torch.cat([p.detach().flatten() for p in model.module.parameters()]).numpy()
    assert np.array_equal(flat, newest(finished.path)["learner.weights.flat"])


def test_it_learns_each_text_once_in_a_pass_and_nothing_that_is_held_out(
    finished: OfflineResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []
    lessons = "heeler.loop.offline.lessons.Lessons"
    monkeypatch.setattr(f"{lessons}.learn", lambda self, units, progress: seen.append(units) or {"loss": 1.0})
    config = config_of(finished)
    run_offline(config, tmp_path / "run")
    read = read_material(config, load_language_model(config.model.path))
    prompts = [tuple(unit.prompt.tolist()) for units in seen for unit in units]
    half = len(prompts) // 2
    expected = sorted(tuple(unit.prompt.tolist()) for unit in read.units)
    assert sorted(prompts[:half]) == sorted(prompts[half:]) == expected
    assert prompts[:half] != prompts[half:], "in another order"
    assert not {tuple(unit.prompt.tolist()) for unit in read.held_out} & set(prompts)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_that_was_stopped_ends_bit_for_bit_as_if_it_had_not_been(
    at: int, finished: OfflineResult, tmp_path: Path
) -> None:
    """Within a pass, at its end, and with and without a checkpoint just made."""

    def stop(row: Mapping[str, float], total: int) -> None:
        if row["step"] == at:
            raise KeyboardInterrupt

    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run_offline(config_of(finished), path, on_metrics=stop)
    result = resume_offline(path)
    ours, theirs = newest(path), newest(finished.path)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []
    assert without_times(path) == without_times(finished.path)
    assert result.held_out.after == finished.held_out.after
    model, other = (load_language_model(one / "model") for one in (path, finished.path))
    for mine, its in zip(model.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(mine, its)
    acts = [entry.act for entry in entries(path / AUDIT_NAME, after=0, limit=100)]
    assert acts[0] == "run.begin" and "run.interrupt" in acts and acts[-1] == "run.finish"


def test_a_finished_run_is_left_as_it_is(finished: OfflineResult) -> None:
    before = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    assert resume_offline(finished.path).held_out == finished.held_out
    after = {path: path.read_bytes() for path in finished.path.rglob("*") if path.is_file()}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed <= {"audit.jsonl", "audit.head"}


def test_a_model_that_was_removed_is_written_again(base: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")), num_epochs=1)
    run_offline(config, tmp_path / "run")
    weights = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    (tmp_path / "run" / "model").rename(tmp_path / "elsewhere")
    resume_offline(tmp_path / "run")
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == weights


def test_the_report_needs_nothing_else(finished: OfflineResult) -> None:
    page = write_report(finished.path).read_text()
    for words in ("Held-out loss", "Held out", "Learning", "Settings", config_of(finished).method.upper()):
        assert words in page, words
    assert "so so" not in page and "Be brief" not in page, "texts stay where they are"
    assert str(finished.path) not in page.split("<h2>Settings</h2>")[0]


def test_the_finished_model_is_served_and_learned_from_on(finished: OfflineResult, tmp_path: Path) -> None:
    served = chat_of(finished.path, ServeOptions(guards=None))
    served.setup.engine.close()
    assert served.runs == finished.path.parent
    data = file_of(tmp_path, rows_for("sft"))
    again = run_offline(tiny_offline_run("sft", finished.path / "model", data, num_epochs=1), tmp_path / "run")
    assert again.held_out.before["loss"] > 0


@pytest.mark.parametrize("lora", [None, Lora(rank=2, alpha=8.0)], ids=["unsaid", "its own"])
def test_an_adapter_goes_on_learning_beside_what_it_was(lora: Lora | None, base: Path, tmp_path: Path) -> None:
    adapter = adapter_on(base, tmp_path / "adapter")
    config = tiny_offline_run("dpo", base, file_of(tmp_path, rows_for("dpo")))
    model = dataclasses.replace(config.model, path=str(adapter), lora=lora)
    result = run_offline(dataclasses.replace(config, model=model), tmp_path / "run")
    # The reference is the model with the adapter as it was: at first no answer is more likely than there.
    assert result.held_out.before["loss"] == pytest.approx(np.log(2), rel=1e-5)
    assert result.held_out.after["loss"] < result.held_out.before["loss"]
    assert "learns an adapter of" in write_report(result.path).read_text()


def test_recipes_go_on_with_an_adapter_and_refuse_all_weights_of_one(base: Path, tmp_path: Path) -> None:
    adapter = str(adapter_on(base, tmp_path / "adapter"))
    for recipe in (sft, dpo):
        assert recipe(model=adapter, data="any").model.lora is None
        with pytest.raises(ConfigError, match="is itself an adapter"):
            recipe(model=adapter, data="any", lora=False)


def test_a_template_and_an_end_may_be_given(base: Path, tmp_path: Path) -> None:
    template = tmp_path / "chats.jinja"
    template.write_text("{% for one in messages %}<{{ one.role }}>{{ one.content }}{% endfor %}")
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")), num_epochs=1)
    model = dataclasses.replace(config.model, chat_template=str(template))
    result = run_offline(dataclasses.replace(config, model=model), tmp_path / "run")
    tokenizer: Any = load_language_model(result.path / "model").tokenizer
    assert tokenizer.chat_template == template.read_text()


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_is_learned_and_taken_into_the_weights(method: str, base: Path, tmp_path: Path) -> None:
    config = tiny_offline_run(method, base, file_of(tmp_path, rows_for(method)))
    lora = dataclasses.replace(config, model=dataclasses.replace(config.model, lora=Lora(rank=4)))
    result = run_offline(lora, tmp_path / "run")
    assert result.held_out.after["loss"] < result.held_out.before["loss"]
    assert all("base" not in name for name in newest(result.path))
    whole = load_language_model(result.path / "model")
    assert not whole.has_adapter
    material = read_material(config, whole)
    batch = batch_of(material.held_out)
    # What is served says what was measured of the model with its adapter beside it.
    state = config.learner.init(whole, 0)
    reference = () if config.sft is not None else (load_language_model(base),)
    labels = (labels_of(material.held_out),) if config.kto is not None else ()
    learner: Any = config.learner
    found = learner.measure(state, batch, *labels, *reference)
    assert found["loss"] == pytest.approx(result.held_out.after["loss"], rel=1e-4)
    run_offline(lora, tmp_path / "again")
    for name, array in newest(tmp_path / "run").items():
        assert np.array_equal(array, newest(tmp_path / "again")[name]), f"{name}: an adapter begins by the seed"


@pytest.mark.parametrize(
    "rows",
    [
        [{"text": f"The {i}th day was {'long' if i % 2 else 'short'}."} for i in range(12)],
        [
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": f"{i}?"},
                    {"role": "assistant", "content": "yes"},
                    {"role": "user", "content": "sure?"},
                    {"role": "assistant", "content": "quite"},
                ]
            }
            for i in range(12)
        ],
    ],
    ids=["text", "messages"],
)
def test_demonstrations_of_every_format_are_split_and_learned(
    rows: list[dict[str, Any]], base: Path, tmp_path: Path
) -> None:
    """Also where no row has a prompt, or all have the same system message."""
    result = run_offline(tiny_offline_run("sft", base, file_of(tmp_path, rows), batch_size=3), tmp_path / "run")
    each = 2 if "messages" in rows[0] else 1
    assert result.num_texts + result.held_out.num_prompts == each * len(rows)
    assert result.num_texts % each == 0, "a dialogue stands on one side of the split"
    assert result.held_out.after["loss"] < result.held_out.before["loss"]


def test_answers_to_one_prompt_are_one_unit_for_kto(base: Path, tmp_path: Path) -> None:
    """Else an answer would lend itself to its own prompt, and the KL would be estimated from what it is to measure."""
    config = tiny_offline_run("kto", base, file_of(tmp_path, rows_for("kto")))
    material = read_material(config, load_language_model(base))
    for units in (material.units, material.held_out):
        prompts = [tuple(unit.prompt.tolist()) for unit in units]
        assert len(set(prompts)) == len(prompts)
    counts = [len(unit.completions) for unit in (*material.units, *material.held_out)]
    assert sorted(counts) == [1] * 12 + [2] * 12


def test_what_cannot_be_learned_from_is_left_out_and_told(base: Path, tmp_path: Path) -> None:
    rows = rows_for("dpo")
    rows[3] |= {"choice": "equal"}
    rows[4] |= {"chosen": "x" * 300}
    rows[5]["prompt"][1]["content"] = "y" * 300
    result = run_offline(tiny_offline_run("dpo", base, file_of(tmp_path, rows)), tmp_path / "run")
    assert result.dropped == {"neither text is better": 1, "longer than the model's context": 1}
    assert result.first_dropped.endswith("line 4: neither text is better")
    assert result.num_truncated == 1


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("sft", {"completion": None}, r"texts\.jsonl, line 3: messages: missing"),
        ("dpo", {"rejected": None}, r"texts\.jsonl, line 3: rejected: missing"),
        ("kto", {"label": "yes"}, r"texts\.jsonl, line 3: label: expected true or false"),
        ("dpo", {"prompt": [{"role": 3}]}, r"texts\.jsonl, line 3"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    method: str, change: dict[str, Any], message: str, base: Path, tmp_path: Path
) -> None:
    rows = rows_for(method)
    rows[2] |= change
    with pytest.raises(DataError, match=message):
        run_offline(tiny_offline_run(method, base, file_of(tmp_path, rows)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_that_does_not_fit_is_refused_where_that_is_asked_for(base: Path, tmp_path: Path) -> None:
    rows = rows_for("sft")
    rows[6] |= {"completion": "x" * 300}
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows), long_prompts="refuse")
    with pytest.raises(DataError, match=r"texts\.jsonl, line 7: completion: 301 tokens, and the model's context"):
        run_offline(config, tmp_path / "run")


def test_judged_answers_of_one_kind_alone_are_refused(base: Path, tmp_path: Path) -> None:
    rows = [row | {"label": True} for row in rows_for("kto")]
    with pytest.raises(DataError, match="every answer to learn from is good"):
        run_offline(tiny_offline_run("kto", base, file_of(tmp_path, rows)), tmp_path / "run")


def test_too_few_prompts_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves one side of the split empty"):
        run_offline(tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")[:1])), tmp_path / "run")


def test_changed_data_model_and_configuration_are_refused(base: Path, tmp_path: Path) -> None:
    data, model = file_of(tmp_path, rows_for("sft")), tmp_path / "model"
    tiny_llama(1).save(model)
    config = tiny_offline_run("sft", model, data)
    run_offline(config, tmp_path / "run")
    with pytest.raises(RunError, match=r"belongs to another configuration \(differs in seed\)"):
        run_offline(dataclasses.replace(config, seed=1), tmp_path / "run")
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(RunError, match="its texts are not those that step-"):
        resume_offline(tmp_path / "run")
    file_of(tmp_path, rows_for("sft"))
    tiny_llama(2).save(model)
    with pytest.raises(RunError, match="this is not the model that step-"):
        resume_offline(tmp_path / "run")


def test_a_run_that_diverges_says_so_and_keeps_its_checkpoints(base: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")), num_epochs=40)
    assert config.sft is not None
    wild = dataclasses.replace(config.sft.optimizer, learning_rate=1e30, num_warmup_updates=0)
    with pytest.raises(LearningError):
        run_offline(dataclasses.replace(config, sft=dataclasses.replace(config.sft, optimizer=wild)), tmp_path / "run")
    acts = [entry.act for entry in entries(tmp_path / "run" / AUDIT_NAME, after=0, limit=100)]
    assert acts[-1] == "run.diverge"


def test_a_run_that_is_not_finished_is_not_served(base: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")))
    RunDirectory.create(tmp_path / "run", to_dict(config))
    with pytest.raises(ConfigError, match="has not learned to its end"):
        chat_of(tmp_path / "run", ServeOptions())


def test_a_damaged_evaluation_is_named(base: Path, tmp_path: Path) -> None:
    config = tiny_offline_run("sft", base, file_of(tmp_path, rows_for("sft")), num_epochs=1)
    run_offline(config, tmp_path / "run")
    (tmp_path / "run" / "evaluation.json").write_text(json.dumps({"before": 1}))
    with pytest.raises(RunError, match=r"evaluation\.json cannot be read"):
        resume_offline(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sft": None}, "exactly one of sft, dpo, kto"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"held_out_share": 1.0}, "held_out_share"),
        ({"long_prompts": "cut"}, "long_prompts must be one of"),
        ({"data": ""}, "data must name"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    config = tiny_offline_run("sft", Path("model"), Path("texts.jsonl"))
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(config, **changes)


def test_kto_needs_two_prompts_in_a_batch() -> None:
    config = tiny_offline_run("kto", Path("model"), Path("texts.jsonl"))
    with pytest.raises(ConfigError, match="batch_size must be >= 2"):
        dataclasses.replace(config, batch_size=1)


def test_commands_for_runs_that_act_say_so() -> None:
    config = tiny_offline_run("dpo", Path("model"), Path("texts.jsonl"))
    with pytest.raises(ConfigError, match="learns from data"):
        loop_config.from_dict(to_dict(config))
