"""What acts where a run's own policy is not trusted: a release, a checkpoint, or a simple function.

Shapes: N environments, O observation numbers, A action numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from heeler.core.errors import CheckpointError, ConfigError, WorldError
from heeler.core.functions import load_function
from heeler.core.named import under
from heeler.core.releases import Releases
from heeler.core.rundir import RunDirectory, checkpoint_in
from heeler.loop.config import RunConfig
from heeler.loop.tensors import to_tensors
from heeler.models.policy import Policy

_RELEASE, _STEP, _ZERO = "release", "step-", "zero"
Function = Callable[[np.ndarray], Any]


class Trusted(Policy):
    """Acts by something declared, and always by its likeliest action. Nothing is learned from what it does.

    Args:
        like: the policy in whose place it acts.
        config: of the run.
        name: of what acts, for messages.
        function: takes [N, O] and returns [N, A], or [N] choices; None to act by the networks.
    """

    def __init__(self, like: Policy, config: RunConfig, name: str, function: Function | None = None) -> None:
        with torch.random.fork_rng():
            super().__init__(config.algorithm.policy, like.observation_size, like.action_space)
        self._name, self._function = name, function

    @torch.no_grad()
    def act(self, observation: np.ndarray, noise: Tensor | None, allowed_BL: np.ndarray | None = None) -> Tensor:
        """Actions [N, A]; noise changes nothing, and a function does not ask which choices there are."""
        if self._function is None:
            return super().act(observation, None, allowed_BL)
        try:
            action = np.asarray(self._function(observation.copy()))
        # Whatever a function of the user's own raises.
        except Exception as error:
            raise WorldError(
                f"{self._name}, which is trusted to act, raised {type(error).__name__}: {error}"
            ) from error
        wanted = (len(observation), self.head.action_size)
        if action.shape == wanted[:1] and wanted[1] == 1:
            action = action[:, None]
        if action.shape != wanted or action.dtype.kind not in "fiu" or not np.isfinite(action).all():
            raise WorldError(
                f"{self._name}: expected actions of shape {wanted}, finite numbers, got {action.dtype} of shape "
                f"{action.shape}; mend what interventions.trusted names"
            )
        return torch.from_numpy(action.astype(self.head.action_dtype))


def check_trusted(config: RunConfig, like: Policy) -> None:
    """Try out what a run is to fall back to, as far as that is known before it begins.

    Args:
        config: of the run.
        like: its policy.

    Raises:
        ConfigError: there is no such function, or it gives no actions.
    """
    if config.interventions is None:
        return
    name = config.interventions.trusted
    if name in (_RELEASE, _ZERO):
        return
    if name.startswith(_STEP):
        _step(name)
        return
    try:
        Trusted(like, config, name, load_function(name)).act(np.zeros((2, like.observation_size), np.float32), None)
    except ConfigError as error:
        raise ConfigError(f"interventions.trusted: {error}") from error
    except WorldError as error:
        raise ConfigError(f"interventions.trusted: on two observations of nought, {error}") from error


def trusted_of(name: str, directory: RunDirectory, config: RunConfig, like: Policy) -> tuple[Trusted, str]:
    """What a run falls back to, and its name, by which the same is found again.

    Args:
        name: of `InterventionsConfig.trusted`, or one that was returned before.
        directory: of the run.
        config: of the run.
        like: its policy.

    Raises:
        ConfigError: there is no such thing.
        CheckpointError: it is damaged, or of other networks.
    """
    if name == _ZERO:
        return Trusted(like, config, name, lambda seen: np.zeros((len(seen), like.head.action_size))), name
    if name == _RELEASE or name.startswith(f"{_RELEASE}:"):
        return _released(name, directory, config, like)
    if name.startswith(_STEP):
        trusted = Trusted(like, config, name)
        _fill(trusted, directory.load_checkpoint(_step(name)).tensors)
        return trusted, name
    return Trusted(like, config, name, load_function(name)), name


def _step(name: str) -> int:
    step = name.removeprefix(_STEP)
    if not (step.isascii() and step.isdigit()):
        raise ConfigError(f"interventions.trusted: expected step-N with a whole number N, got {name!r}")
    return int(step)


def _released(name: str, directory: RunDirectory, config: RunConfig, like: Policy) -> tuple[Trusted, str]:
    releases = Releases(directory)
    release_id = name.partition(":")[2]
    found = {release.id: release for release in releases.all()}
    release = found.get(release_id) if release_id else releases.in_use()
    if release is None:
        raise ConfigError(
            "there is nothing trusted to fall back to: no release of this run is in use; approve one, or set "
            "interventions.trusted"
        )
    checkpoint = checkpoint_in(releases.checkpoint_folder(release), release.step)
    if checkpoint.sha256 != release.checkpoint_sha256:
        raise CheckpointError(f"the checkpoint of release {release.id} is not the one that was released; withdraw it")
    trusted = Trusted(like, config, f"release {release.id}")
    _fill(trusted, checkpoint.tensors)
    return trusted, f"{_RELEASE}:{release.id}"


def _fill(trusted: Trusted, arrays: dict[str, np.ndarray]) -> None:
    try:
        trusted.load_tensors(to_tensors(under("learner.policy.", arrays)))
    except (RuntimeError, KeyError) as error:
        raise CheckpointError("what is trusted does not fit this run's world or networks") from error
