"""What a run begins with: an adapter that goes on learning, a template or an end of its own; kept in the run itself."""

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from heeler.cli import main
from heeler.core.errors import ConfigError, DataError, RunError
from heeler.core.nouns import Message
from heeler.core.rundir import RunDirectory
from heeler.loop.language.config import LanguageRunConfig
from heeler.loop.language.exporting import export_language_run
from heeler.loop.language.part_settings import PartWeights, SchemaPart, TruthfulnessPart
from heeler.loop.language.running import Listeners, resume_language, run_language
from heeler.loop.run_model import ADAPTER, MODEL, load_start
from heeler.loop.serving import ServeOptions, chat_of
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.recipes import chat
from tests import vllm_stand_in
from tests.tiny_models import adapter_on, tiny_llama
from tests.unit.loop.language.tiny import tiny_language_run

torch.set_num_threads(1)
HI = (Message(role="user", content="Hi"),)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base") / "tiny"
    tiny_llama(max_length=1024).save(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path) -> Path:
    return adapter_on(base, base.parent / "adapter")


def short_run(path: Path, **changes: Any) -> LanguageRunConfig:
    config = tiny_language_run(path)
    model = dataclasses.replace(config.model, **changes)
    return dataclasses.replace(
        config, model=model, num_updates=2, release=None, num_evaluation_items=2, checkpoint_every=1
    )


@pytest.fixture(scope="module")
def finished(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "run"
    run_language(short_run(adapter), path)
    return path


def logits(model: LanguageModel) -> torch.Tensor:
    return model.module(input_ids=torch.tensor([[5, 9, 60]])).logits.detach()


def test_the_adapter_goes_on_learning_from_where_it_was(finished: Path, adapter: Path) -> None:
    began = load_start(finished, trainable=False)
    torch.testing.assert_close(logits(began), logits(load_language_model(adapter)), atol=0, rtol=0)
    named = dict(began.module.named_parameters())
    learned = RunDirectory.open(finished).load_checkpoint(24).tensors
    learned = {name.removeprefix("model."): array for name, array in learned.items() if name.startswith("model.")}
    assert learned and all(".lora_" in name for name in learned)
    moved = [not np.array_equal(array, named[name].detach().numpy()) for name, array in learned.items()]
    assert all(moved)
    kl = [row["kl"] for row in RunDirectory.open(finished).metrics()]
    assert abs(kl[0]) < 1e-4, "the reference is the model with the adapter as it was"


def test_a_run_holds_all_it_needs_and_is_gone_on_with(
    base: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also once adapter and model are gone from where they were."""
    own = tmp_path / "own" / "tiny"
    own.parent.mkdir()
    shutil.copytree(base, own)
    config = short_run(adapter_on(own, tmp_path / "own" / "adapter"))

    def kill(row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_language(config, tmp_path / "run", Listeners(on_metrics=kill))
    shutil.rmtree(tmp_path / "own")
    with pytest.raises(KeyboardInterrupt):
        run_language(config, tmp_path / "run", Listeners(on_metrics=kill))
    resume_language(tmp_path / "run")
    ours, theirs = (RunDirectory.open(one).load_checkpoint(24).tensors for one in (tmp_path / "run", finished))
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name])] == []


def test_it_is_served_and_exported(finished: Path, tmp_path: Path) -> None:
    served = chat_of(finished, ServeOptions(guards=None))
    served.setup.engine.close()
    export_language_run(finished, tmp_path / "out", newest=True)
    loaded = load_language_model(tmp_path / "out", trainable=False)
    assert loaded.has_adapter
    export_language_run(finished, tmp_path / "merged", newest=True, merge=True)
    merged = load_language_model(tmp_path / "merged", trainable=False)
    torch.testing.assert_close(logits(merged), logits(loaded), atol=1e-4, rtol=1e-3)
    assert (logits(merged) - logits(load_start(finished))).abs().max() > 1e-5, "it has learned"


def test_an_adapter_that_was_exported_is_served_and_gone_on_with(finished: Path, tmp_path: Path) -> None:
    export_language_run(finished, tmp_path / "out", newest=True)
    served = chat_of(tmp_path / "out", ServeOptions(keep_in=tmp_path / "kept", guards=None))
    served.setup.engine.close()
    assert chat(model=str(tmp_path / "out"), prompts="x.jsonl").model.lora is None


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        (Lora(rank=4, alpha=8.0), r"lora\.rank is 4, and .*adapter is itself an adapter with 2"),
        (Lora(rank=2, alpha=16.0), r"lora\.alpha is 16\.0, and .* with 8"),
        (Lora(rank=2, alpha=8.0, targets=("q_proj",)), r"lora\.targets is \['q_proj'\], and .* with \['down_proj'"),
    ],
)
def test_settings_of_another_adapter_are_refused(adapter: Path, tmp_path: Path, lora: Lora, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run_language(short_run(adapter, lora=lora), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_its_own_settings_are_not(adapter: Path) -> None:
    assert load_language_model(adapter, lora=Lora(rank=2, alpha=8.0)).trainable()


def test_an_adapter_of_another_model_is_refused(adapter: Path, tmp_path: Path) -> None:
    tiny_llama(7, max_length=1024).save(tmp_path / "other")
    moved = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    settings = json.loads((moved / "adapter_config.json").read_bytes())
    content = json.dumps(settings | {"base_model_name_or_path": str(tmp_path / "other")}).encode()
    (moved / "adapter_config.json").write_bytes(content)
    manifest = json.loads((moved / "manifest.json").read_bytes())
    del manifest["sha256"]["adapter_config.json"]
    (moved / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"base_fingerprint is not that of .*other; the adapter was made for another"):
        run_language(short_run(moved), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_adapter_whose_model_is_gone_says_so(base: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(base, tmp_path / "tiny"))
    alone = adapter_on(own, tmp_path / "adapter")
    shutil.rmtree(own)
    with pytest.raises(DataError, match=r"base_model_name_or_path is '.*tiny', and there is no such folder"):
        run_language(short_run(alone), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_layers_that_are_not_there_are_refused_before_anything_is_written(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="targets of LoRA"):
        run_language(short_run(base, lora=Lora(targets=("none",))), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_knows_an_adapter(adapter: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chat(model=str(adapter), prompts="x.jsonl").model.lora is None
    assert chat(model=str(base), prompts="x.jsonl").model.lora == Lora()
    # A flag that turns off what is on by default.
    assert main(["run", "chat", "--model", str(adapter), "--prompts", "x.jsonl", "--no-lora"]) == 2
    assert "is itself an adapter, which is what learns" in capsys.readouterr().err


def test_a_run_that_learns_an_adapter_is_served_by_vllm(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm_stand_in.install(monkeypatch)
    served = chat_of(finished, ServeOptions(engine="vllm", guards=None, max_length=600, max_streams=2))
    try:
        arguments = vllm_stand_in.Engine.made[0].arguments
        assert (arguments.model, arguments.max_model_len) == (str(finished / MODEL), 600)
        assert arguments.enable_lora and arguments.max_num_seqs == 2
        assert served.setup.engine.model().max_tokens == 600
    finally:
        served.setup.engine.close()


# Templates and ends


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A model whose tokenizer says neither what ends a text nor how chats are written."""
    model = tiny_llama(max_length=1024)
    model.tokenizer.chat_template = None
    model.save(tmp_path / "bare")
    path = tmp_path / "bare" / "tokenizer_config.json"
    settings = json.loads(path.read_bytes())
    path.write_text(json.dumps({name: value for name, value in settings.items() if name != "eos_token"}))
    (tmp_path / "bare" / "manifest.json").unlink()
    return tmp_path / "bare"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.jinja"
    path.write_text("{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}[assistant] ")
    return path


def test_a_run_keeps_template_and_end_in_its_own_copy(bare: Path, template: Path, tmp_path: Path) -> None:
    config = short_run(bare, chat_template=str(template), eos_token="<|end|>")
    run_language(dataclasses.replace(config, num_updates=1), tmp_path / "run")
    template.unlink()
    kept = load_language_model(tmp_path / "run" / MODEL, trainable=False)
    assert kept.text(kept.prompt_ids(HI)) == "[user] Hi\n[assistant] " and kept.eos_id == 1
    resume_language(tmp_path / "run")
    chat_of(tmp_path / "run", ServeOptions(guards=None)).setup.engine.close()
    with pytest.raises(ConfigError, match="chat_template is for a model that is no run"):
        chat_of(tmp_path / "run", ServeOptions(chat_template=template))
    export_language_run(tmp_path / "run", tmp_path / "out", newest=True)
    assert load_language_model(tmp_path / "out").eos_id == 1


def test_a_model_is_served_with_template_and_end(bare: Path, template: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name the one that ends a text by --eos-token"):
        chat_of(bare, ServeOptions(keep_in=tmp_path / "kept"))
    options = ServeOptions(keep_in=tmp_path / "kept", chat_template=template, eos_token="<|end|>")
    chat_of(bare, options).setup.engine.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "chat_template: cannot read"), ("\n", "holds no text"), ("{% for %}", "it does not take a user's message")],
)
def test_templates_that_cannot_be_are_refused(
    base: Path, tmp_path: Path, content: str | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "template.jinja"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        run_language(short_run(base, chat_template=str(path)), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert main(["serve", str(base), "--keep-in", str(tmp_path / "kept"), "--chat-template", str(path)]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_an_end_that_the_tokenizer_does_not_know_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the tokenizer knows no token '<eot>'"):
        run_language(short_run(base, eos_token="<eot>"), tmp_path / "run")


def test_a_model_that_goes_on_with_an_adapter_has_it_beside_it(finished: Path) -> None:
    assert (finished / MODEL / "model.safetensors").is_file()
    assert (finished / ADAPTER / "adapter_model.safetensors").is_file()


def begun(config: LanguageRunConfig, path: Path) -> None:
    """A run that somebody ended after its first update."""

    def end(row: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_language(config, path, Listeners(on_metrics=end))


def without_people(base: Path, prompts: Path, parts: PartWeights) -> LanguageRunConfig:
    """Prompts of a file, and a reward of these parts alone."""
    changes = {"asking": None, "learned": None, "watch": None, "parts": parts}
    return dataclasses.replace(short_run(base), world=str(prompts), **changes)


def test_a_run_does_not_go_on_with_other_prompts(base: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [json.dumps({"prompt": f"{number}?"}) for number in range(12)]
    prompts.write_text("\n".join(rows))
    begun(without_people(base, prompts, PartWeights(brevity=1.0)), tmp_path / "run")
    prompts.write_text("\n".join([*rows[:-1], json.dumps({"prompt": "other?"})]))
    with pytest.raises(RunError, match=r"prompts\.jsonl: its prompts are not those that step-12 of .* learned from"):
        resume_language(tmp_path / "run")
    prompts.write_text("\n".join(rows))
    resume_language(tmp_path / "run")


@pytest.mark.parametrize(
    ("setting", "changed"),
    [("truthfulness", "facts.txt"), ("schemas[0]", "schema.json")],
)
def test_a_run_does_not_go_on_with_another_file_of_a_part(
    base: Path, tmp_path: Path, setting: str, changed: str
) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join(json.dumps({"prompt": f"{number}?"}) for number in range(12)))
    files = {
        "facts.txt": ("A red lamp costs 12 euro.", "A red lamp costs 13 euro."),
        "schema.json": ('{"type": "object"}', '{"type": "array"}'),
    }
    for name, (before, _) in files.items():
        (tmp_path / name).write_text(before)
    parts = PartWeights(
        truthfulness=TruthfulnessPart(weight=1.0, knowledge=str(tmp_path / "facts.txt")),
        schemas=(SchemaPart(weight=1.0, schema=str(tmp_path / "schema.json")),),
    )
    begun(without_people(base, prompts, parts), tmp_path / "run")
    (tmp_path / changed).write_text(files[changed][1])
    with pytest.raises(RunError, match=re.escape(f"the file that parts.{setting} names is not as it was when step-12")):
        resume_language(tmp_path / "run")
    (tmp_path / changed).write_text(files[changed][0])
    resume_language(tmp_path / "run")
