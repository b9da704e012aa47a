"""Steps against TRL: the job on a tiny model, what is counted, and what is compared."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import rl_trl
from benchmarks.harness import BenchmarkError
from benchmarks.jobs import text_rl
from benchmarks.word_overlap import word_overlap
from heeler.envs.helpdesk.corpus import Faults, conversations
from heeler.models.language.small import SmallModelConfig, new_language_model

MODEL = {
    "hidden_size": 2,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "intermediate_size": 1,
    "vocab_size": 5,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    texts = [message.content for chat in islice(conversations(Faults(), num_turns=1, seed=0), 20) for message in chat]
    size = SmallModelConfig(vocabulary_size=600, hidden_size=16, num_layers=1, num_attention_heads=2, max_length=2048)
    new_language_model(size, texts, seed=0).save(folder)
    return folder


@pytest.fixture
def folder(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.setattr(text_rl, "SETTINGS", text_rl.SETTINGS | {"max_new_tokens": 6})
    sizes = ("--steps", "2", "--prompts", "2", "--each", "3", "--threads", "1")
    printed("make", tmp_path, "--model", str(model), *sizes, monkeypatch=monkeypatch, capsys=capsys)
    return tmp_path


def printed(
    what: str, folder: Path, *options: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    monkeypatch.setattr(sys, "argv", ["text_rl", what, str(folder), *options])
    text_rl.main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.parametrize("kind", rl_trl.KINDS)
def test_the_first_step_is_not_counted(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (step,) = printed(kind, folder, monkeypatch=monkeypatch, capsys=capsys)["steps"]
    assert (len(step["prompts"]), len(step["completions"])) == (2, 6)
    assert max(step["completions"]) <= 6
    assert 0 <= step["cut"] <= 1
    assert step["seconds"] > 0


def test_a_loss_and_a_gradient_of_the_peers_that_differ_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    material = json.loads((folder / "material.json").read_text())
    for kind in rl_trl.KINDS:
        loss, gradient, weights = text_rl.at_policy(kind, folder, material)
        assert float(gradient.norm()) > 0
        peer = {
            name: part.view(weight.shape)
            for (name, weight), part in zip(
                weights, gradient.split([weight.numel() for _, weight in weights]), strict=True
            )
        }
        # RLOO's is a hundredth longer, and its loss by a half.
        more = 1.0 if kind == "grpo" else 1.01
        peer = {name: more * part for name, part in peer.items()}
        save_file(peer | {"loss": torch.tensor([loss + 50 * (more - 1)])}, folder / f"{kind}.safetensors")
    found = printed("check", folder, monkeypatch=monkeypatch, capsys=capsys)
    assert found["flops_per_s"] > 0
    assert rl_trl._differences(
        {name: found[name] for name in found if name.startswith("grpo")}
        | {"rloo_loss_difference": 0.0, "rloo_gradient_difference": 0.0}
    ) == {"loss_difference": pytest.approx(0, abs=1e-7), "gradient_difference": pytest.approx(0, abs=1e-6)}
    assert rl_trl._differences(found)["loss_difference"] == pytest.approx(0.5, rel=1e-3)
    assert rl_trl._differences(found)["gradient_difference"] == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_the_policy_its_reference_and_the_model_that_sampled_are_three(folder: Path) -> None:
    material = json.loads((folder / "material.json").read_text())
    names = ("policy", "reference")
    policy, reference = (text_rl.load_language_model(folder / name, dtype="float32", device="cpu") for name in names)
    begun = text_rl.load_language_model(material["model"], dtype="float32", device="cpu")
    for one, other in ((policy, reference), (policy, begun), (reference, begun)):
        assert all(not torch.equal(a, b) for a, b in zip(one.trainable(), other.trainable(), strict=True))


def test_operations_by_hand() -> None:
    # Weights: 4 x 2 x 2 of attention and 3 x 2 of the rest, 22; two prompts of 3 and 1 tokens, two answers to each.
    weights, head = 4 * 2 * 2 + 3 * 2 * 1, 2 * 5
    answers = [1, 2, 1, 1]
    prompt_pairs = [6, 1]
    answer_pairs = [3 + 1, 2 * 3 + 3, 1 + 1, 1 + 1]
    for once, tokens, pairs in (
        (True, 4 + 5, sum(prompt_pairs) + sum(answer_pairs)),
        (False, 8 + 5, 2 * sum(prompt_pairs) + sum(answer_pairs)),
    ):
        expected = 2 * weights * tokens + 4 * 2 * pairs + 2 * head * sum(answers)
        assert rl_trl.flops(MODEL, [3, 1], answers, once=once) == expected


def test_fewer_heads_of_keys_take_fewer_operations() -> None:
    model = MODEL | {"hidden_size": 4, "num_attention_heads": 2}
    fewer, as_many = (rl_trl.flops(model | {"num_key_value_heads": heads}, [1], [1], once=True) for heads in (1, 2))
    assert as_many - fewer == 2 * 2 * (4 * 2 * 2)


def test_figures_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rl_trl, "MODEL", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(MODEL))
    ours = [
        {"seconds": s, "cpu_seconds": s, "prompts": [3, 1], "completions": [1, 2, 1, 1], "cut": 0.0} for s in (1, 2, 9)
    ]
    peer = [{"seconds": 6, "cpu_seconds": 8, "completions": [1, 2, 1, 4], "cut": 0.25}] * 3
    found = rl_trl._compared("rloo", ours, peer, 1e4)
    assert (found["rloo_speed_ratio"], found["rloo_cpu_ratio"]) == (3.0, 4.0)
    assert (found["rloo_steps_per_s"], found["rloo_mean_length"], found["peer_rloo_cut_share"]) == (0.5, 1.25, 0.25)
    flops = 5 * rl_trl.flops(MODEL, [3, 1], [1, 2, 1, 1], once=True)
    peer_flops = 6 * rl_trl.flops(MODEL, [3, 1], [1, 2, 1, 4], once=False)
    assert found["rloo_flops_ratio"] == pytest.approx(peer_flops / flops)
    assert found["rloo_product_share"] == pytest.approx(flops / 2 / 1e4)
    assert found["peer_rloo_product_share"] == pytest.approx(peer_flops / 6 / 1e4)
    with pytest.raises(BenchmarkError, match="2 steps of ours and 3 of the peer's"):
        rl_trl._compared("rloo", ours[:2], peer, 1e4)


def test_without_the_model_it_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rl_trl, "MODEL", tmp_path)
    with pytest.raises(BenchmarkError, match="holds no model; `python -m heeler"):
        rl_trl.measure([0], False)


def test_words_in_common_are_a_share_of_all_words() -> None:
    assert word_overlap("The warranty is 12 months.", "the warranty is 24 months.") == pytest.approx(4 / 6)
    assert word_overlap("", "") == 0
