"""From a run to a folder that transformers and peft load without heeler."""

import json
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from heeler.cli import main
from heeler.core.errors import CheckpointError, ConfigError, RunError
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory
from heeler.loop.chat_releases import MODEL_PREFIX
from heeler.loop.config import to_dict
from heeler.loop.language.exporting import export_language_run
from heeler.loop.run_model import MODEL, keep_start
from heeler.models.language import saving
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from heeler.recipes import helpdesk
from tests.tiny_models import TEMPLATE, tiny_llama

torch.set_num_threads(1)
# peft asks transformers for something by its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
IDS = torch.tensor([[5, 9, 60, 61]])


def run_at(path: Path, *, lora: Lora | None = None) -> RunDirectory:
    """A run that has made checkpoints of steps 64, 128 and 192, each with weights of its own."""
    config = replace(helpdesk(), model=replace(helpdesk().model, path="some-lab/tiny", lora=lora))
    directory = RunDirectory.create(path, to_dict(config))
    keep_start(path, tiny_llama(0, max_length=64), "some-lab/tiny")
    for step in (64, 128, 192):
        model = model_at(path, step, lora)
        names = {name for name, _ in model.module.named_parameters() if lora is None or ".lora_" in name}
        named = {name: p for name, p in model.module.named_parameters() if name in names}
        weights = {MODEL_PREFIX + name: parameter.detach().numpy() for name, parameter in named.items()}
        directory.save_checkpoint(step, weights, {"lineage": {"policy_version": step // 64, "answers": 1}}, keep=9)
    return directory


def model_at(path: Path, step: int, lora: Lora | None = None) -> LanguageModel:
    """What the learner had made at a step."""
    model = load_language_model(path / MODEL, lora=lora, device="cpu", trainable=False)
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for name, parameter in model.module.named_parameters():
            if lora is None or ".lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def propose(directory: RunDirectory, step: int, *, approve: bool = True) -> str:
    releases, name = Releases(directory), str(uuid.uuid5(uuid.NAMESPACE_OID, str(step)))
    releases.propose(name, step, "ann", audit_head="0" * 64)
    if approve:
        releases.approve(name, "bea")
    return name


@torch.no_grad()
def says(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return run_at(tmp_path / "run")


def test_the_release_in_use_is_what_transformers_loads(run: RunDirectory, tmp_path: Path) -> None:
    name = propose(run, 64)
    propose(run, 128, approve=False)
    out = tmp_path / "out"
    exported = export_language_run(run.path, out)
    assert (exported.step, exported.release) == (64, name)
    expected = says(model_at(run.path, 64).module)
    torch.testing.assert_close(says(AutoModelForCausalLM.from_pretrained(out)), expected, atol=0, rtol=0)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.chat_template == TEMPLATE and tokenizer.eos_token == "<|end|>"
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in exported.files}
    origin = json.loads((out / "manifest.json").read_bytes())["origin"]
    assert (origin["run"], origin["step"], origin["release"]) == ("run", 64, name)
    assert origin["checkpoint_sha256"] == run.load_checkpoint(64).sha256
    load_language_model(out, trainable=False)


@pytest.mark.parametrize("how", ["step", "id", "beginning"])
def test_a_candidate_by_its_name(run: RunDirectory, tmp_path: Path, how: str) -> None:
    propose(run, 64)
    name = propose(run, 128, approve=False)
    wanted = {"step": "128", "id": name, "beginning": name[:6]}[how]
    assert export_language_run(run.path, tmp_path / "out", release=wanted).release == name
    expected = says(model_at(run.path, 128).module)
    torch.testing.assert_close(says(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), expected, atol=0, rtol=0)


def test_the_newest_checkpoint(run: RunDirectory, tmp_path: Path) -> None:
    propose(run, 64)
    exported = export_language_run(run.path, tmp_path / "out", newest=True)
    assert (exported.step, exported.release) == (192, None)
    expected = says(model_at(run.path, 192).module)
    torch.testing.assert_close(says(AutoModelForCausalLM.from_pretrained(tmp_path / "out")), expected, atol=0, rtol=0)


def test_a_run_that_releases_nothing_gives_its_newest_checkpoint(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", to_dict(replace(helpdesk(), release=None)))
    tiny_llama(0).save(directory.path / MODEL)
    weights = {MODEL_PREFIX + name: p.detach().numpy() for name, p in tiny_llama(3).module.named_parameters()}
    directory.save_checkpoint(64, weights, {}, keep=2)
    assert export_language_run(directory.path, tmp_path / "out").step == 64


def test_an_adapter_alone_or_merged(tmp_path: Path) -> None:
    lora = Lora(rank=2)
    run = run_at(tmp_path / "run", lora=lora)
    propose(run, 64)
    expected = says(model_at(run.path, 64, lora).module)
    names = {path.name for path in export_language_run(run.path, tmp_path / "adapter").files}
    assert "adapter_model.safetensors" in names and "model.safetensors" not in names
    settings = tmp_path / "adapter" / "adapter_config.json"
    assert json.loads(settings.read_bytes())["base_model_name_or_path"] == "some-lab/tiny"
    base = AutoModelForCausalLM.from_pretrained(run.path / MODEL)
    torch.testing.assert_close(says(PeftModel.from_pretrained(base, tmp_path / "adapter")), expected)
    export_language_run(run.path, tmp_path / "merged", merge=True)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    torch.testing.assert_close(says(merged), expected, atol=1e-4, rtol=1e-3)
    assert not hasattr(merged, "peft_config")


def test_the_adapter_of_a_folder_names_the_runs_own_copy(tmp_path: Path) -> None:
    lora = Lora(rank=2)
    run = run_at(tmp_path / "run", lora=lora)
    shutil.rmtree(run.path / MODEL)
    tiny_llama(0, max_length=64).save(tmp_path / "tiny")
    keep_start(run.path, tiny_llama(0, max_length=64), str(tmp_path / "tiny"))
    export_language_run(run.path, tmp_path / "out", newest=True)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "out")
    torch.testing.assert_close(says(loaded), says(model_at(run.path, 192, lora).module))


def test_what_cannot_be_exported_is_refused_and_nothing_is_written(run: RunDirectory, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(error: type[Exception], words: str, **how: Any) -> None:
        with pytest.raises(error, match=words):
            export_language_run(run.path, out, **how)
        assert not out.exists()

    refused(RunError, "no release of .* is in use; --newest")
    withdrawn = propose(run, 64)
    Releases(run).withdraw(withdrawn, "cay")
    refused(RunError, "no release of .* is in use; --newest")
    refused(RunError, "was withdrawn by cay", release="64")
    refused(RunError, "has no release '65'", release="65")
    refused(RunError, "has no release ''", release="")
    refused(ConfigError, "name one of the two", release="64", newest=True)
    refused(ConfigError, "no adapter to merge", newest=True, merge=True)
    name = propose(run, 128)
    tensors = run.path / "releases" / name / "tensors.safetensors"
    content = tensors.read_bytes()
    tensors.unlink()
    tensors.write_bytes(content[:-1] + b"x")
    refused(CheckpointError, "SHA-256 of tensors.safetensors does not match")
    out.mkdir()
    with pytest.raises(RunError, match="is there already; choose another --out"):
        export_language_run(run.path, out, newest=True)


def test_a_full_disk_leaves_nothing(run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "_write_manifest", full)
    with pytest.raises(RunError, match="No space left on device"):
        export_language_run(run.path, tmp_path / "out" / "deep", newest=True)
    assert list((tmp_path / "out").iterdir()) == []


def test_from_the_command_line(run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run.path), "--out", str(out)]) == 2
    assert "no release of" in capsys.readouterr().err
    name = propose(run, 64)
    assert main(["export", str(run.path), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["step"], told["release"]) == (64, name) and str(out / "model.safetensors") in told["files"]
    assert main(["export", str(run.path), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    state = run.path / "checkpoints" / "step-192" / "state.json"
    state.write_bytes(state.read_bytes()[:-1])
    assert main(["export", str(run.path), "--newest", "--json"]) == 0
    told = capsys.readouterr()
    assert "step-128 was used instead" in told.err and json.loads(told.out)["step"] == 128
    assert (run.path / "export" / "config.json").is_file()
    RunDirectory.create(tmp_path / "other", {"recipe": "ppo"})
    assert main(["export", str(tmp_path / "other"), "--merge"]) == 2
    assert "are for runs of language models" in capsys.readouterr().err
