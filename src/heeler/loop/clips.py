"""Clips of a policy at work: drawn from snapshots where heeler knows how, else by the world's own `render()`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from heeler.core.errors import ConfigError, HeelerError, RunError, WorldError
from heeler.core.rundir import RunDirectory, write_atomically
from heeler.envs import DRAWN_IDS, EnvConfig, World, draw, make, write_webp
from heeler.loop.config import RunConfig, check_seed, from_dict
from heeler.loop.evaluations import final_seed
from heeler.loop.live import steps_per_second
from heeler.loop.reading import newest_sound_checkpoint, policy_of, shield_of, shield_state
from heeler.loop.rendering import rendered
from heeler.models.policy import Policy
from heeler.safety.shields.shield import Shield

MAX_FPS = 25.0
SUFFIXES = (".webp", ".gif")


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """Frames of one environment, at the speed of the world's own time."""

    frames: np.ndarray
    """[T, H, W, 3] uint8."""
    fps: float
    """Frames in a second."""
    num_steps: int
    """Environment steps that it shows."""
    num_episodes: int
    """Episodes that it shows a part of."""

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return len(self.frames) / self.fps


@dataclass(frozen=True, kw_only=True, eq=False)
class FilmedRun:
    """A clip of a run's newest policy."""

    path: Path
    """Where it is."""
    step: int
    """Environment steps that the policy had learned for."""
    clip: Clip
    """What it shows."""


def watch_run(
    run: Path | str,
    path: Path | str | None = None,
    *,
    num_episodes: int = 1,
    max_s: float = 20.0,
    seed: int | None = None,
) -> FilmedRun:
    """Film the policy of a run's newest sound checkpoint, acting by its likeliest action.

    Args:
        run: the run's directory.
        path: the clip, .webp or .gif; None for media/step-N.webp of the run.
        num_episodes: how many to film.
        max_s: seconds of the world's own time at most.
        seed: of the episodes; None for those that the run is judged by at its end.

    Raises:
        ConfigError: another ending of the name, or nothing to film.
        WorldError: the world can neither be drawn nor render itself; says why.
        RunError: the run has no sound checkpoint, or the clip cannot be written.
    """
    if num_episodes < 1 or not 0 < max_s < math.inf:
        raise ConfigError(f"episodes and seconds must be above 0 and finite, got {num_episodes} and {max_s:g}")
    directory = RunDirectory.open(Path(run))
    config, checkpoint = from_dict(directory.config()), newest_sound_checkpoint(directory)
    path = Path(path or directory.path / "media" / f"step-{checkpoint.step}.webp")
    check_name(path)
    seed = final_seed(config) if seed is None else seed
    policy, learned = policy_of(checkpoint, config), shield_state(checkpoint)
    clip = record(policy, config, seed=seed, num_episodes=num_episodes, max_s=max_s, learned=learned)
    return FilmedRun(path=save(clip, path), step=checkpoint.step, clip=clip)


def record(
    policy: Policy,
    config: RunConfig,
    *,
    seed: int,
    num_episodes: int | None = None,
    min_s: float = 3.0,
    max_s: float = 8.0,
    size: int = 240,
    learned: Mapping[str, Tensor] | None = None,
) -> Clip:
    """Let a policy act by its likeliest action, behind the run's shield where it has one, and film it.

    Args:
        policy: who acts.
        config: of its run; names the world.
        seed: of the world's resets.
        num_episodes: how many to film; None for as many as fill `min_s`.
        min_s: seconds of the world's own time at least, where `num_episodes` is None.
        max_s: seconds of the world's own time at most.
        size: height of a frame in pixels; drawn worlds are square, others keep their shape.
        learned: what the run's shield has learned; None for nothing yet.

    Raises:
        WorldError: the world can neither be drawn nor render itself; says why.
    """
    check_seed(seed)
    world, drawn = _filmable_world(config.env, seed)
    shield = None
    try:
        shield = shield_of(config, config.env, world, learned)
        speed = steps_per_second(world)
        every = max(1, round(speed / MAX_FPS))
        looks: list[np.ndarray] = []
        step = num_ended = 0
        for step, ended in _act(policy, world, seed, shield):
            num_ended += ended
            enough = step >= min_s * speed if num_episodes is None else num_ended >= num_episodes
            if (ended and enough) or step >= max_s * speed:
                num_ended += not ended
                break
            if step % every == 0:
                looks.append(_look(world, drawn))
    finally:
        world.close()
        if shield is not None:
            shield.close()
    if drawn:
        frames = draw(config.env.id, np.stack(looks), (size, size))
    else:
        frames = np.stack([_resized(look, size) for look in looks])
    return Clip(frames=frames, fps=speed / every, num_steps=step, num_episodes=num_ended)


def _act(policy: Policy, world: World, seed: int, shield: Shield | None) -> Iterator[tuple[int, bool]]:
    """Steps so far and whether an episode ended in the last one, before each step is taken; without end."""
    observation, _ = world.reset(seed=seed)
    step, ended = 0, False
    while True:
        yield step, ended
        if shield is None:
            action = policy.act(observation, None).cpu().numpy()
        else:
            action = shield.act(policy, observation, None).executed_NA
        action = policy.executable(action)
        observation, _, terminated, truncated, _ = world.step(action)
        step, ended = step + 1, bool(terminated[0] | truncated[0])


def _filmable_world(config: EnvConfig, seed: int) -> tuple[World, bool]:
    """One environment, and whether heeler draws it itself."""
    single = config.single()
    world = make(single, seed)
    world.reset(seed=seed)
    if config.id in DRAWN_IDS and world.snapshot() is not None:
        return world, True
    modes = world.metadata.get("render_modes") or []
    world.close()
    if "rgb_array" not in modes:
        raise WorldError(f"{config.id} cannot be filmed: it has no render mode rgb_array, only {list(modes)}")
    try:
        return make(replace(single, kwargs={**config.kwargs, "render_mode": "rgb_array"}), seed), False
    except HeelerError as error:
        raise WorldError(f"{config.id} cannot be filmed: {error}") from error


def _look(world: World, drawn: bool) -> np.ndarray:
    if drawn:
        snapshot = world.snapshot()
        assert snapshot is not None
        return snapshot[0].copy()
    return rendered(world)


def _resized(frame: np.ndarray, height: int) -> np.ndarray:
    width = max(1, round(frame.shape[1] * height / frame.shape[0]))
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))


def check_name(path: Path) -> None:
    """Refuse a clip's name that ends in nothing known.

    Raises:
        ConfigError: it is neither WebP nor GIF.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"a clip's name must end in {' or '.join(SUFFIXES)}, got {path.name!r}")


def save(clip: Clip, path: Path) -> Path:
    """Write a clip as an animated WebP or GIF, by the name's ending.

    Raises:
        ConfigError: another ending.
        RunError: it cannot be written.
    """
    check_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose another name") from error
    if path.suffix.lower() == ".webp":
        write_webp(clip.frames, path, clip.fps)
    else:
        _write_gif(clip, path)
    return path


def _write_gif(clip: Clip, path: Path) -> None:
    images = [Image.fromarray(frame).quantize(64) for frame in clip.frames]
    # GIF counts in hundredths of a second, and browsers slow down what is below two of them.
    duration_ms = max(20, round(100 / clip.fps) * 10)
    encoded = BytesIO()
    images[0].save(encoded, format="GIF", save_all=True, append_images=images[1:], duration=duration_ms, loop=0)
    write_atomically(path, encoded.getvalue())
