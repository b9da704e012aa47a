"""Models on disk: what is written is what is read, and what is wrong is said with its file and field."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from heeler.core.errors import CheckpointError, ConfigError, DataError, RunError
from heeler.core.nouns import Message
from heeler.models.language import saving
from heeler.models.language.adapters import Lora
from heeler.models.language.loading import load_language_model
from heeler.models.language.model import LanguageModel
from tests.tiny_models import tiny_llama
from tests.unit.models.language.batches import random_batch
from tests.unit.models.language.zoo import FAST, model_of

torch.set_num_threads(1)
BATCH = random_batch((9,), ((3, 5),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_llama().save(tmp_path / "model")
    return tmp_path / "model"


def say(model: LanguageModel) -> torch.Tensor:
    return model.outputs(BATCH).logprob_T.detach()


def load(folder: Path, **settings: Any) -> LanguageModel:
    return load_language_model(folder, device="cpu", **settings)


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of a JSON file; None removes one. The manifest no longer vouches for it."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
    (path.parent / saving.MANIFEST_NAME).unlink(missing_ok=True)


def trained_adapter(folder: Path, target: Path) -> LanguageModel:
    model = load(folder, lora=Lora(rank=2))
    with torch.no_grad():
        for parameter in model.trainable():
            parameter.add_(0.1)
    model.save(target)
    return model


def test_what_is_saved_is_read_again(folder: Path):
    model = load(folder)
    assert_close(say(model), say(tiny_llama()), atol=0, rtol=0)
    assert model.prompt_ids((Message(role="user", content="Hi"),)).tolist()
    assert model.device.type == "cpu" and model.dtype == torch.float32
    assert "support" in model.__dict__


@pytest.mark.parametrize("name", ["gpt2", "gemma2-softcap"])
def test_other_architectures_too(name: str, tmp_path: Path):
    model = model_of(FAST[name]())
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert_close(say(loaded), say(model), atol=0, rtol=0)
    assert loaded.support.rows


def test_nothing_is_pickled_and_every_file_is_hashed(folder: Path):
    names = {path.name for path in folder.iterdir()}
    assert "model.safetensors" in names and not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["sha256"]) == names - {"manifest.json"}


def test_bfloat16(folder: Path):
    model = load(folder, dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    assert_close(say(model), say(tiny_llama()), atol=0.1, rtol=0.05)


def test_what_is_not_to_learn_cannot(folder: Path):
    assert not load(folder, trainable=False).trainable()
    assert load(folder).trainable()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"config\.json is missing; expected a folder that holds a model"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), r"config\.json must hold an object"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), r"its tokenizer cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "cannot be read as a causal language model"),
        (lambda f: rewrite(f / "config.json", model_type="unheard-of"), "cannot be read as a causal language model"),
    ],
)
def test_missing_and_broken_files_are_named(folder: Path, spoil: Callable[[Path], Any], message: str):
    (folder / "manifest.json").unlink()
    spoil(folder)
    with pytest.raises(DataError, match=message):
        load(folder)


def test_pickled_weights_are_not_read(folder: Path):
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="weights in other formats are not read, save them as safetensors"):
        load(folder)


def test_code_of_a_model_is_never_run(folder: Path, tmp_path: Path):
    rewrite(
        folder / "config.json",
        model_type="foreign",
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
    )
    (folder / "evil.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n"
    )
    with pytest.raises(DataError):
        load(folder)
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match="is not a folder; expected one that holds a model"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_an_altered_file_is_refused_by_name(folder: Path, name: str):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    with pytest.raises(CheckpointError, match=f"{name} is refused: its SHA-256 does not match"):
        load(folder)


def test_a_broken_manifest_is_refused(folder: Path):
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"manifest\.json cannot be read"):
        load(folder)


def test_a_tokenizer_of_another_model_is_refused(folder: Path):
    torch.manual_seed(0)
    small = model_of(FAST["llama"]())
    small.module.resize_token_embeddings(200)
    small.module.save_pretrained(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ConfigError, match=r"tokens up to 260, and the model's embeddings end at 199"):
        load(folder)


def test_a_tokenizer_without_an_end_and_the_setting_that_gives_one(folder: Path):
    rewrite(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ConfigError, match="no end-of-text token"):
        load(folder)
    assert load(folder, eos_token="<|end|>").eos_id == 1
    with pytest.raises(ConfigError, match="the tokenizer knows no token '<nope>'"):
        load(folder, eos_token="<nope>")


def test_a_template_as_a_setting(folder: Path):
    model = load(folder, chat_template="{{ messages[0]['content'] }}!")
    assert model.text(model.prompt_ids((Message(role="user", content="Hi"),))) == "Hi!"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "float8"}, "dtype must be auto, float32 or bfloat16"),
        ({"device": "nowhere"}, "device: 'nowhere' is none"),
        ({"lora": Lora(), "adapter": Path("x")}, "adapter and lora: name one"),
        ({"lora": Lora(targets=("nothing_like_it",))}, "targets of LoRA"),
    ],
)
def test_settings_are_checked(folder: Path, settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        load_language_model(folder, **({"device": "cpu"} | settings))


@pytest.mark.parametrize("settings", [{"rank": 0}, {"alpha": 0.0}])
def test_settings_of_lora_are_checked(settings: dict[str, Any]):
    with pytest.raises(ConfigError, match="of LoRA must be"):
        Lora(**settings)


def test_an_adapter_is_saved_alone_and_read_again(folder: Path, tmp_path: Path):
    model = trained_adapter(folder, tmp_path / "adapter")
    assert not (tmp_path / "adapter" / "model.safetensors").exists()
    loaded = load(folder, adapter=tmp_path / "adapter")
    assert_close(say(loaded), say(model), atol=0, rtol=0)
    assert {name for name, p in loaded.module.named_parameters() if p.requires_grad} == {
        name for name, p in model.module.named_parameters() if p.requires_grad
    }
    assert not load(folder, adapter=tmp_path / "adapter", trainable=False).trainable()


def test_an_adapters_folder_alone_names_its_model(folder: Path, tmp_path: Path):
    model = trained_adapter(folder, tmp_path / "adapter")
    assert_close(say(load(tmp_path / "adapter")), say(model), atol=0, rtol=0)
    rewrite(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(DataError, match=r"adapter_config\.json: base_model_name_or_path is missing"):
        load(tmp_path / "adapter")


def test_an_adapter_that_heeler_saved_for_another_model(folder: Path, tmp_path: Path):
    trained_adapter(folder, tmp_path / "adapter")
    tiny_llama(seed=1).save(tmp_path / "other")
    with pytest.raises(DataError, match=r"manifest\.json: base_fingerprint is not that of .*other"):
        load(tmp_path / "other", adapter=tmp_path / "adapter")
    # The same model elsewhere is the same model.
    shutil.move(folder, tmp_path / "moved")
    load(tmp_path / "moved", adapter=tmp_path / "adapter")


def test_an_adapter_from_elsewhere_for_another_model(folder: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    trained_adapter(folder, adapter)
    rewrite(adapter / "adapter_config.json", base_model_name_or_path="some-lab/other-7b")
    with pytest.raises(DataError, match=r"adapter_config\.json: base_model_name_or_path is 'some-lab/other-7b'"):
        load(folder, adapter=adapter)
    rewrite(adapter / "adapter_config.json", base_model_name_or_path="elsewhere/model")
    load(folder, adapter=adapter)


def test_an_adapter_of_other_shapes(folder: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    trained_adapter(folder, adapter)
    (adapter / "manifest.json").unlink()
    (tmp_path / "wide").mkdir()
    tiny_llama(hidden_size=64).save(tmp_path / "wide" / "model")
    with pytest.raises(DataError, match="the adapter does not fit"):
        load(tmp_path / "wide" / "model", adapter=adapter)
    (tmp_path / "deep").mkdir()
    tiny_llama(num_layers=3).save(tmp_path / "deep" / "model")
    with pytest.raises(DataError, match="the adapter was made for another model"):
        load(tmp_path / "deep" / "model", adapter=adapter)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), r"adapter_config\.json is missing"),
        (lambda f: (f / "adapter_config.json").write_text("x"), r"adapter_config\.json cannot be read"),
        (lambda f: rewrite(f / "adapter_config.json", peft_type="IA3"), "peft_type must be LORA, got 'IA3'"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), r"adapter_model\.safetensors is missing"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), r"adapter_model\.safetensors cannot be read"),
    ],
)
def test_missing_and_broken_files_of_an_adapter(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], Any], message: str
):
    adapter = tmp_path / "adapter"
    trained_adapter(folder, adapter)
    (adapter / "manifest.json").unlink()
    spoil(adapter)
    with pytest.raises(DataError, match=message):
        load(folder, adapter=adapter)


def test_an_adapter_with_weights_left_out(folder: Path, tmp_path: Path):
    adapter = tmp_path / "adapter"
    trained_adapter(folder, adapter)
    (adapter / "manifest.json").unlink()
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, adapter / "adapter_model.safetensors")
    with pytest.raises(DataError, match=r"adapter_model\.safetensors: .*lora_A.* does not fit"):
        load(folder, adapter=adapter)


def test_a_folder_with_an_adapter_beside_the_model_is_refused(folder: Path, tmp_path: Path):
    """transformers would put it on the model by itself."""
    trained_adapter(folder, tmp_path / "adapter")
    shutil.copytree(folder, tmp_path / "both")
    (tmp_path / "both" / "manifest.json").unlink()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(tmp_path / "adapter" / name, tmp_path / "both")
    with pytest.raises(DataError, match="both holds an adapter beside or in place of a model"):
        load(tmp_path / "both")


def test_an_adapter_is_taken_off_or_merged(folder: Path, tmp_path: Path):
    model = trained_adapter(folder, tmp_path / "adapter")
    assert model.adapter_rank == 2
    expected = say(model)
    merged = model.merged()
    assert not merged.has_adapter and merged.adapter_rank == 0
    assert_close(say(merged), expected, atol=1e-4, rtol=0)
    alone = load(folder, adapter=tmp_path / "adapter").without_adapter()
    assert not alone.has_adapter
    assert_close(say(alone), say(load(folder)), atol=0, rtol=0)
    alone.save(tmp_path / "alone")
    assert_close(say(load(tmp_path / "alone")), say(load(folder)), atol=0, rtol=0)


def test_saving_over_a_model_replaces_it(folder: Path):
    tiny_llama(seed=5).save(folder)
    assert_close(say(load(folder)), say(tiny_llama(seed=5)), atol=0, rtol=0)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_saving_over_something_else_is_refused(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("do not lose")
    with pytest.raises(RunError, match="is not empty and is no model that heeler saved"):
        tiny_llama().save(tmp_path / "model")
    assert (tmp_path / "model" / "thesis.txt").read_text() == "do not lose"


def test_a_failed_write_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "_write_manifest", full)
    with pytest.raises(RunError, match=r"cannot write .*: No space left on device"):
        tiny_llama(seed=5).save(folder)
    assert_close(say(load(folder)), say(tiny_llama()), atol=0, rtol=0)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_replacement_cut_short_between_its_renamings_is_undone(folder: Path):
    folder.rename(folder.with_name(".model.replaced"))
    assert_close(say(load(folder)), say(tiny_llama()), atol=0, rtol=0)
