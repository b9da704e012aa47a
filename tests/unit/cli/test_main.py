"""The command line from end to end: each command, what scripts read, and what comes of mistakes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageSequence

from heeler import recipes
from heeler.cli import COMMANDS, main
from heeler.cli.running import default_name
from heeler.core.rundir import RunDirectory
from heeler.feedback.acquisition import ACQUISITIONS
from heeler.feedback.teachers import TEACHERS
from heeler.loop.config import RunConfig, from_dict, to_dict
from heeler.loop.evaluative.config import evaluative_config_from_dict
from heeler.loop.language.config import language_config_from_dict
from heeler.loop.offline.config import offline_config_from_dict
from heeler.loop.reward_config import reward_config_from_dict
from heeler.loop.settings import assign, dotted
from heeler.models.numpy_policy import NumpyPolicy
from heeler.recipes import RECIPES

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
TINY = (
    *("--total-steps", "8192", "--num-envs", "16"),
    *("--set", "algorithm.num_epochs=1", "checkpoint_every=3", "num_steps=64"),
)


def heeler(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The program as a stranger starts it."""
    command = [sys.executable, "-m", "heeler", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file and its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


CONSOLE_SCRIPT = """
import sys
from heeler.cli import main
sys.exit(main())
"""

OWN_WORLD = """
import gymnasium

class Mine(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), float(action), False, True, {}
"""


def test_the_installed_command_finds_a_class_in_the_current_directory(tmp_path: Path) -> None:
    """Python puts the folder of the command on its path, not the one in which it is started."""
    folder, binaries = tmp_path / "project", tmp_path / "bin"
    folder.mkdir()
    binaries.mkdir()
    (folder / "mymod.py").write_text(OWN_WORLD)
    (folder / "torch.py").write_text("raise AssertionError('a file here must not stand for an installed package')")
    (binaries / "heeler").write_text(CONSOLE_SCRIPT)
    command = [sys.executable, str(binaries / "heeler"), "run", "ppo", "--env", "mymod:Mine", *TINY]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "runs" / "ppo-mymod-Mine-seed0" / "report.html").is_file()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder in which `heeler run ppo` has been started, and what it said."""
    folder = tmp_path_factory.mktemp("stranger")
    return folder, heeler("run", "ppo", "--env", "CartPole-v1", *TINY, cwd=folder)


@pytest.fixture
def run_copy(started: tuple[Path, object], tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(started[0] / "runs" / "ppo-CartPole-v1-seed0", tmp_path / "run"))


def test_run_learns_and_says_where_its_report_is(started: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = started
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "ppo in CartPole-v1, seed 0: 8,192 steps in runs/ppo-CartPole-v1-seed0"
    assert lines[1].startswith("1,024 of 8,192 steps (12%)")
    assert "8,192 of 8,192 steps (100%)" in done.stdout
    assert "true return: " in done.stdout
    assert lines[-1] == "Report: runs/ppo-CartPole-v1-seed0/report.html"
    run = RunDirectory.open(folder / "runs" / "ppo-CartPole-v1-seed0")
    assert (run.path / "report.html").is_file()
    assert run.config()["algorithm"]["num_epochs"] == 1
    assert run.checkpoint_steps() == [3072, 6144, 8192]


def test_a_finished_run_is_said_to_be_finished(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "ppo", "--env", "CartPole-v1", *TINY, "--run-dir", str(run_copy), "--json"]) == 0
    told = capsys.readouterr()
    assert f"{run_copy} is finished (8,192 steps)" in told.err
    result = json.loads(told.out)
    assert result["run"] == str(run_copy)
    assert result["evaluation"]["num_episodes"] == 20
    assert result["report"] == str(run_copy / "report.html")
    assert result["refused"] == []


def test_resume_goes_on_from_the_newest_sound_checkpoint(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished = json.loads((run_copy / "evaluation.json").read_text())
    shutil.rmtree(run_copy / "checkpoints" / "step-8192")
    tensors = run_copy / "checkpoints" / "step-6144" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    assert main(["resume", str(run_copy)]) == 0
    told = capsys.readouterr()
    assert f"going on in {run_copy} from step 3,072 of 8,192" in told.out
    assert "step-6144 is refused: the SHA-256 of tensors.safetensors does not match its manifest" in told.err
    again = json.loads((run_copy / "evaluation.json").read_text())
    assert again["episode_return"] == finished["episode_return"]


def hear_interrupts() -> None:
    """Tests that run in the background of a shell are deaf to Ctrl-C, and so would be what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_says_how_to_go_on_and_keeps_the_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "heeler", "run", "ppo", "--env", "CartPole-v1", "--set", "checkpoint_every=1"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    run = tmp_path / "runs" / "ppo-CartPole-v1-seed0"
    deadline = time.monotonic() + 60
    while not list(run.glob("checkpoints/step-*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.endswith("; go on with it by: heeler resume runs/ppo-CartPole-v1-seed0\n")
    checkpoint, refused = RunDirectory.open(run).newest_checkpoint()
    assert checkpoint is not None
    assert refused == []


def test_evaluate(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run_copy)
    assert main(["evaluate", str(run_copy), "--episodes", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["num_episodes"], result["seed"], result["step"]) == (3, 10_000, 8192)
    interval = result["episode_return"]
    assert interval["low"] <= interval["mean"] <= interval["high"]
    assert main(["evaluate", str(run_copy), "--episodes", "3", "--seed", "5"]) == 0
    assert "Mean of 3 fresh episodes after 8,192 steps of learning:\n  true return: " in capsys.readouterr().out
    assert contents(run_copy) == before


def test_evaluate_behind_a_shield(run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "shield.yaml"
    path.write_text("check: {steps: 3, refuse_termination: true, continuation: policy}\nfallback: {kind: least_cost}\n")
    plain = ["evaluate", str(run_copy), "--episodes", "8", "--json"]
    results = []
    for flags in ([], ["--shield", "none"], ["--shield", str(path)]):
        assert main([*plain, *flags]) == 0
        results.append(json.loads(capsys.readouterr().out))
    bare, without, shielded = results
    assert bare == without
    assert shielded["figures"]["shielded_steps"]["mean"] > 0
    assert shielded["episode_return"]["mean"] > bare["episode_return"]["mean"]
    path.write_text("check: {stepps: 3}\nfallback: {kind: least_cost}\n")
    assert main([*plain, "--shield", str(path)]) == 2
    assert f"{path}: there is no setting check.stepps. Did you mean 'check.steps'" in capsys.readouterr().err


def test_watch(run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(run_copy), "--seconds", "1"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path == run_copy / "media" / "step-8192.webp"
    gif = tmp_path / "clip.gif"
    assert main(["watch", str(run_copy), "--out", str(gif), "--episodes", "2", "--seconds", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    with Image.open(gif) as image:
        assert image.format == "GIF"
        # Equal frames in a row are one longer frame in the file.
        frames_ms = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
        assert sum(frames_ms) == pytest.approx(1000 * result["duration_s"], abs=40)


def test_report_and_export(run_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run_copy / "report.html").unlink()
    assert main(["report", str(run_copy), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"] == str(run_copy / "report.html")
    assert (run_copy / "report.html").is_file()
    out = tmp_path / "out"
    assert main(["export", str(run_copy), "--out", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert files == [str(out / name) for name in ("policy.safetensors", "policy.json", "policy.py")]
    assert NumpyPolicy.load(out).act([0.0, 0.1, 0.0, -0.1]) in (0, 1)


def damage(run: Path, *steps: int) -> None:
    for step in steps:
        state = run / "checkpoints" / f"step-{step}" / "state.json"
        state.write_bytes(state.read_bytes()[:-1])


@pytest.mark.parametrize("command", ["evaluate", "watch", "report", "export"])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    run_copy: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    damage(run_copy, 8192)
    assert main([command, str(run_copy), "--json"]) == 0
    told = capsys.readouterr()
    refusal = "step-8192 is refused: the SHA-256 of state.json does not match its manifest"
    assert told.err == f"heeler: checkpoint {run_copy}/checkpoints/{refusal}; step-6144 was used instead\n"
    assert isinstance(json.loads(told.out), dict)
    if command == "report":
        page = (run_copy / "report.html").read_text()
        assert refusal in page
        assert "After 6,144 steps" in page


@pytest.mark.parametrize("command", ["evaluate", "watch", "export"])
def test_where_every_checkpoint_is_damaged_each_is_named(
    run_copy: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    damage(run_copy, 3072, 6144, 8192)
    assert main([command, str(run_copy)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"heeler: {run_copy} has no sound checkpoint: ")
    assert [told.count(f"step-{step} is refused") for step in (3072, 6144, 8192)] == [1, 1, 1]
    assert told.count("\n") == 1


def test_the_report_says_that_every_checkpoint_is_damaged(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(run_copy, 3072, 6144, 8192)
    assert main(["report", str(run_copy)]) == 0
    told, page = capsys.readouterr().err, (run_copy / "report.html").read_text()
    for step in (3072, 6144, 8192):
        assert (
            f"step-{step} is refused: the SHA-256 of state.json does not match its manifest; no other is sound" in told
        )
        assert f"step-{step} is refused: the SHA-256 of state.json does not match its manifest.</p>" in page
    assert "No checkpoint is sound, and so there is no clip of a trained policy." in page
    assert "There is no checkpoint yet" not in page


def test_recipes_lists_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert [recipe["name"] for recipe in listed] == list(RECIPES)
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    for recipe in listed:
        assert f"{recipe['name']}: {recipe['summary']}" in shown
        for argument in recipe["arguments"]:
            assert argument["help"] in shown


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_lists_every_setting_of_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And as `--set` takes it: what is shown, given back, is the same configuration."""
    assert main(["recipes", name, "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    wanted = {"backflip": {}, "helpdesk": {}, "reward-model": {"data": "DATA"}}
    wanted["chat"] = {"model": "MODEL", "prompts": "PROMPTS"}
    wanted["velocity"] = wanted["course"] = {}
    wanted["imitation"] = {"env": "ENV", "demonstrations": "DEMONSTRATIONS"}
    wanted["dpo"] = wanted["sft"] = {"model": "MODEL", "data": "DATA"}
    needed = wanted.get(name, {"env": "ENV"})
    config = to_dict(RECIPES[name](**needed))
    assert {setting["name"] for setting in settings} >= dotted(config).keys()
    assert all(setting["help"] for setting in settings)
    assert main(["recipes", name]) == 0
    shown = re.findall(r"^(\S+ = .*)  \(.*\)$", capsys.readouterr().out, re.M)
    assert len(shown) == len(settings)
    readers = {"reward-model": reward_config_from_dict, "helpdesk": language_config_from_dict}
    readers["evaluative"] = evaluative_config_from_dict
    readers |= {"chat": language_config_from_dict, "dpo": offline_config_from_dict, "sft": offline_config_from_dict}
    read = readers.get(name, from_dict)
    assert to_dict(read(assign(config, [line.replace(" = ", "=", 1) for line in shown]))) == config


@pytest.mark.parametrize("name", ["backflip", "preferences"])
def test_help_names_every_teacher_and_acquisition(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", name, "--help"]) == 0
    shown = capsys.readouterr().out
    for choice in (*TEACHERS, "people", *ACQUISITIONS):
        assert f"`{choice}`" in shown


def test_doctor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--run-dir", str(tmp_path), "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert "broken" not in {check["state"] for check in checks}
    assert main(["doctor", "--run-dir", "/proc"]) == 1
    assert "broken  runs         /proc: " in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"heeler {name}" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert f"\n  {name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--seed INT" in shown
    assert "--set NAME=VALUE" in shown


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (recipes.backflip(seed=3), "backflip-seed3"),
        (recipes.ppo(env="Hopper-v5"), "ppo-Hopper-v5-seed0"),
        (recipes.preferences(env="my.worlds:Maze/1"), "preferences-my.worlds-Maze-1-seed0"),
    ],
)
def test_a_run_is_named_by_recipe_world_and_seed(config: RunConfig, name: str) -> None:
    assert default_name(config) == name


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("heeler 0")


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "there is no command 'rnu'. Did you mean 'run'?"),
        (["recipes", "bakflip"], "there is no recipe 'bakflip'. Did you mean 'backflip'?"),
        (["run", "bakflip"], "there is no recipe 'bakflip'. Did you mean 'backflip'?"),
        (["run", "backflip", "--buget", "3"], "has no flag --buget. Did you mean '--budget'?"),
        (
            ["run", "ppo", "--env", "CartPole-v1", "--total_stesp=3"],
            "has no flag --total-stesp. Did you mean '--total-steps'?",
        ),
        (["evaluate", "nowhere"], "nowhere is not a run: it has no config.yaml"),
        (["evaluate", "nowhere", "--episode", "3"], "has no flag --episode. Did you mean '--episodes'?"),
        (["resume", "nowhere"], "nowhere is not a run"),
        (["watch", "nowhere"], "nowhere is not a run"),
        (["report", "nowhere"], "nowhere is not a run"),
        (["export", "nowhere", "--out", "x"], "nowhere is not a run"),
        (["run", "backflip", "--budget", "many"], "many"),
        (["run", "ppo"], "--env"),
        (["evaluate"], "RUN"),
        ([], "usage: heeler COMMAND"),
    ],
)
def test_mistyped_names_are_answered_without_loading_torch(tmp_path: Path, arguments: list[str], message: str) -> None:
    script = "import sys; from heeler.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules, code)"
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "False 2\n"
    assert list(tmp_path.iterdir()) == []


def test_worlds_are_learned_without_the_packages_for_language_models(tmp_path: Path) -> None:
    names = "datasets jsonschema peft regex tokenizers transformers"
    code = f"import sys\nfor name in '{names}'.split(): sys.modules[name] = None\n"
    code += "from heeler.cli import main\nsys.exit(main(sys.argv[1:]))"
    flags = ["--env", "CartPole-v1", "--total-steps", "4096", "--run-dir", "run"]
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "ppo", *flags],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").exists()
    command = [sys.executable, "-c", code, "run", "helpdesk"]
    refused = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "pip install 'heeler[lm]'" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ppo", "--env", "CartPoll-v1"], "no world 'CartPoll-v1' is known. Did you mean 'CartPole-v1'?"),
        (["ppo", "--env", "nowhere:Env"], "cannot import 'nowhere'"),
        (["ppo", "--env", "tests.unit.envs.toy_envs:FailsToBuild"], "FailsToBuild cannot be made: TypeError"),
        (["preferences", "--env", "Hopper-v5", "--budget", "0"], "budget must be > 0, got 0"),
        (["preferences", "--env", "Hopper-v5", "--teacher", "nosy"], "got 'nosy'. Did you mean 'noisy'?"),
        (["preferences", "--env", "Hopper-v5", "--acquisition", "entrop"], "got 'entrop'. Did you mean 'entropy'?"),
        (["ppo", "--env", "Hopper-v5", "--set", "algorithm.clp=1"], "Did you mean 'algorithm.clip'?"),
        (["ppo", "--env", "Hopper-v5", "--set", "algorithm.clip=x"], "setting algorithm.clip"),
        (["ppo", "--env", "Hopper-v5", "--set", "env.kwargs.reset_noise=1"], "Did you mean 'reset_noise_scale'?"),
        (["ppo", "--env", "Hopper-v5", "--total-steps", "3"], "total_steps must be at least"),
        (["ppo", "--env", "Hopper-v5", "--total-steps", "3", "--set", "num_steps=1"], "at least one update's 64"),
        (["preferences", "--env", "Pendulum-v1", "--total-steps", "30000"], "raise total_steps to at least 34,816"),
        (["preferences", "--env", "Pendulum-v1", "--teacher=slow", "--total-steps=45000"], "delay_steps (50,000)"),
        (["ppo", "--env", "Hopper-v5", "--num-envs", "0"], "num_envs must be at least 1, got 0"),
        (["ppo", "--env", "Hopper-v5", "--seed", "-1"], "seed must be from 0 to"),
        (["ppo", "--env", "Hopper-v5", "--seed", "99999999999"], "seed must be from 0 to"),
        (["ppo", "--env", "Hopper-v5", "--set", "env.kwargs.frame_skip=abc"], "Hopper-v5: frame_skip: "),
        (["ppo", "--env", "Hopper-v5", "--set", "env.kwargs.frame_skip=0"], "frame_skip must be at least 1, got 0"),
        (["ppo", "--env", "Pendulum-v1", "--set", "env.kwargs.g=abc"], "Pendulum-v1: g: "),
        (["ppo", "--env", "Ant-v5", "--set", "env.kwargs.reset_noise_scale=-1"], "reset_noise_scale=-1"),
        (["ppo", "--env", "Hopper-v5", "--set", "env.check_bounds=false"], "check_bounds is for foreign worlds"),
        (["ppo", "--env", "CartPole-v1", "--set", "algorithm.policy.noise_correlation=0.5"], "is for Box actions"),
        (["backflip", "--set", "preferences.model.observation_columns=[0,99]"], "observation_columns must be indices"),
    ],
)
def test_what_cannot_be_run_is_refused_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", *arguments]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("heeler: ")
    assert told.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_may_be_as_short_as_its_settings_make_an_update(tmp_path: Path) -> None:
    small = ["--total-steps", "1600", "--set", "env.num_envs=4", "num_steps=40", "num_evaluation_episodes=2"]
    assert main(["run", "ppo", "--env", "CartPole-v1", *small, "--run-dir", str(tmp_path / "run")]) == 0
    assert RunDirectory.open(tmp_path / "run").config()["total_steps"] == 1600
    assert len(RunDirectory.open(tmp_path / "run").metrics()) == 10


def test_a_world_that_breaks_down_leaves_what_was_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    small = ["--num-envs", "4", "--total-steps", "4096", "--set", "checkpoint_every=1"]
    assert main(["run", "ppo", "--env", "tests.unit.loop.unseen:Poisoned", *small, "--run-dir", str(path)]) == 2
    told = capsys.readouterr().err
    assert "environment 0 gave a non-finite reward nan at step" in told
    assert f"What was learned is kept: heeler resume {path}" in told
    checkpoint, refused = RunDirectory.open(path).newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step > 0
    assert refused == []


def test_the_run_of_another_configuration_is_left_alone(run_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(run_copy)
    assert main(["run", "ppo", "--env", "Pendulum-v1", *TINY, "--run-dir", str(run_copy)]) == 2
    told = capsys.readouterr().err
    assert "belongs to another configuration (differs in env.id" in told
    assert "choose another --run-dir" in told
    assert contents(run_copy) == before


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["run", "ppo", "--env", "CartPole-v1", *TINY, "--run-dir", str(tmp_path)]) == 2
    assert "is not empty and is not a run" in capsys.readouterr().err
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["watch", "--out", "clip.mp4"],
        ["watch", "--episodes", "0"],
        ["watch", "--seed", "-1"],
        ["evaluate", "--episodes", "0"],
        ["evaluate", "--seed", "-1"],
    ],
)
def test_wishes_that_cannot_be_met(run_copy: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    before = contents(run_copy)
    command, *flags = arguments
    assert main([command, str(run_copy), *flags]) == 2
    assert capsys.readouterr().err.startswith("heeler: ")
    assert contents(run_copy) == before


def test_a_store_of_a_newer_version_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    arguments = ["run", "preferences", "--env", "Pendulum-v1", "--total-steps", "4096", "--budget", "4"]
    arguments += ["--set", "preferences.num_warmup_rollouts=1"]
    assert main([*arguments, "--run-dir", str(tmp_path / "run")]) == 0
    with sqlite3.connect(tmp_path / "run" / "heeler.db") as connection:
        connection.execute("UPDATE heeler_schema SET version_num = '9999'")
    connection.close()
    before = contents(tmp_path / "run")
    capsys.readouterr()
    for command in (["resume"], ["report"]):
        assert main([*command, str(tmp_path / "run")]) == 2
        assert "written by a newer heeler (schema 9999" in capsys.readouterr().err
    after = contents(tmp_path / "run")
    assert {name: after[name] for name in before} == before


# Everything is imported before rights are given up, as the interpreter's own files may be out of reach afterwards.
UNPRIVILEGED = """
import json, os, sys
from heeler.cli import main
import heeler.loop.report, heeler.recipes, heeler.cli.display, pydantic
main(["evaluate", sys.argv[1], "--episodes", "1", "--json"])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for arguments in json.loads(sys.argv[2]):
    print(arguments[0], file=sys.stderr)
    print(f"left with {main(arguments)}", file=sys.stderr)
"""


@pytest.fixture
def read_only(run_copy: Path) -> Iterator[Path]:
    """A finished run in a place that others can reach and cannot write to."""
    place = Path(tempfile.mkdtemp(dir="/tmp"))
    run = Path(shutil.copytree(run_copy, place / "run"))
    folders = [place, *(path for path in run.rglob("*") if path.is_dir()), run]
    files = [path for path in run.rglob("*") if path.is_file()]
    for path in folders:
        path.chmod(0o555)
    for path in files:
        path.chmod(0o444)
    yield run
    for path in folders:
        path.chmod(0o755)
    shutil.rmtree(place)


def test_a_read_only_disk_is_named_and_left_as_it_was(read_only: Path) -> None:
    before = contents(read_only)
    new = ["run", "ppo", "--env", "CartPole-v1", *TINY, "--run-dir", str(read_only.parent / "new")]
    commands = [new, *([name, str(read_only)] for name in ("resume", "report", "watch", "export"))]
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, str(read_only), json.dumps(commands)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = done.stderr.splitlines()
    assert told[0::3] == ["run", "resume", "report", "watch", "export"]
    for message in told[1::3]:
        assert message.startswith("heeler: ")
        assert any(words in message for words in ("Permission denied", "read-only"))
    assert told[2::3] == ["left with 2"] * 5
    assert contents(read_only) == before
    assert [path.name for path in read_only.parent.iterdir()] == ["run"]


# The kernel refuses every write beyond the limit, as it would on a disk that is full.
FULL_DISK = """
import resource, sys
from heeler.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_is_named_and_the_old_report_stays(run_copy: Path) -> None:
    before = contents(run_copy)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, "report", str(run_copy)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert f"heeler: cannot write {run_copy}/report.html: File too large; free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(run_copy) == before


def test_a_disk_that_fills_up_while_a_run_learns_is_named_and_the_run_goes_on_later(tmp_path: Path) -> None:
    """The store outgrows the limit; the checkpoints before that are whole."""
    arguments = ["preferences", "--env", "Pendulum-v1", "--total-steps", "40960", "--budget", "400"]
    quick = ["checkpoint_every=1", "algorithm.num_epochs=1", "preferences.model.max_epochs=2"]
    command = ["run", *arguments, "--set", *quick, "--run-dir", "runs/x"]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *command],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("heeler: ")
    went_on = heeler("resume", "runs/x", cwd=tmp_path)
    assert went_on.returncode == 0, went_on.stderr
    assert "refused" not in went_on.stderr


def test_who_stops_reading_is_not_told_off(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "heeler", "recipes"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_broken_pipe_to_somewhere_else_is_no_reason_to_end_in_silence(tmp_path: Path) -> None:
    script = """
import sys
from heeler.cli import looking, main

def broken():
    raise BrokenPipeError("to a worker")

looking.doctor = broken
sys.exit(main(["doctor"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.endswith("BrokenPipeError: to a worker\n")


def test_an_exit_that_is_not_the_parsers_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's code that exits would otherwise end a run in silence, as if it were done."""

    def leave() -> int:
        raise SystemExit("gone")

    monkeypatch.setattr("heeler.cli.looking.doctor", leave)
    with pytest.raises(SystemExit, match="gone"):
        main(["doctor"])


def test_a_world_that_exits_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    env = ["--env", "tests.faults.bad_worlds:Breaking", "--set", "env.kwargs.fault=exits"]
    assert main(["run", "ppo", *env, "--total-steps", "4096", "--run-dir", str(tmp_path / "run")]) == 2
    assert "step raised SystemExit: 0" in capsys.readouterr().err
