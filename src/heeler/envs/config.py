"""The configuration that names a world and says how many copies of it run, and how."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, signature
from typing import Any, Literal, get_args

from heeler.core.errors import ConfigError, did_you_mean

Vectorization = Literal["auto", "batched", "sync", "async"]
Setting = bool | int | float | str | list[Any] | tuple[Any, ...] | dict[str, Any] | None
"""What a world's own setting may be: what a run's file can hold. A tuple becomes a list, as it does there."""


@dataclass(frozen=True, kw_only=True)
class AgentsConfig:
    """Who acts in a world of several agents."""

    learning: tuple[str, ...] = ()
    """Agents that act by the run's one policy, each a row of the batch; empty for all. They must see and do alike."""
    others: dict[str, str] = field(default_factory=dict[str, str])
    """How each other agent acts: `random`, or `FILE.py:NAME` or `MODULE:NAME` of a function that takes the agent's
    name, its observation and a `numpy.random.Generator`, and returns its action."""

    def __post_init__(self) -> None:
        if len(set(self.learning)) != len(self.learning):
            raise ConfigError(f"env.agents.learning must name each agent once, got {self.learning}")
        both = [name for name in self.learning if name in self.others]
        if both:
            raise ConfigError(f"env.agents: {both[0]!r} learns and is among the others; leave it out of one of them")
        if self.others and not self.learning:
            raise ConfigError(
                "env.agents.others would be ignored, as all agents learn; name in env.agents.learning those that do"
            )


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Which world, how many copies of it, and how they are stepped."""

    id: str
    """A name in `heeler.envs.WORLD_IDS` or in Gymnasium's registry, or `module:Class` of a Gymnasium environment."""
    num_envs: int = 8
    """Copies that step together."""
    num_threads: int | None = None
    """Threads that share the physics of a batched MuJoCo world; None takes one for each CPU core."""
    vectorization: Vectorization = "auto"
    """`auto`: heeler's batched world where there is one, else `sync`. `batched`: that, or an error. `sync`: Gymnasium's
    own environment, copies in one process. `async`: the same, one process for each copy."""
    check_bounds: bool = True
    """Whether a foreign world's observation that lies outside its space's bounds stops the run. Some environments
    promise narrower bounds than they keep."""
    costs: tuple[str, ...] = ()
    """Costs that a foreign world gives in its infos at every step: each a number under its own name, or in a mapping
    under `cost` or `costs`. Heeler's own worlds name theirs themselves."""
    agents: AgentsConfig | None = None
    """For a world of several agents, whose `id` is `module:NAME` of what makes a `ParallelEnv` of PettingZoo's: who
    learns, and how others act. Each of the `num_envs` copies then has a row for each agent that learns."""
    kwargs: dict[str, Setting] = field(default_factory=dict[str, Setting])
    """Settings of the world itself, such as `reset_noise_scale`; `max_episode_steps` is known to every world."""

    def __post_init__(self) -> None:
        if self.num_envs < 1:
            raise ConfigError(f"num_envs must be at least 1, got {self.num_envs}")
        if self.num_threads is not None and self.num_threads < 1:
            raise ConfigError(f"num_threads must be at least 1, or None for one a core, got {self.num_threads}")
        if self.vectorization not in get_args(Vectorization):
            known = ", ".join(get_args(Vectorization))
            raise ConfigError(
                f"vectorization must be one of {known}, got {self.vectorization!r}."
                + did_you_mean(str(self.vectorization), get_args(Vectorization))
            )
        if len(set(self.costs)) != len(self.costs) or not all(self.costs):
            raise ConfigError(f"env.costs must be names, each once, got {self.costs}")
        if self.agents is not None and self.vectorization not in ("auto", "sync"):
            raise ConfigError(
                f"copies of a world of several agents are stepped in one process; set vectorization to 'auto', not "
                f"{self.vectorization!r}"
            )
        # A run that is resumed reads its settings from a file: its world must be given the very same the first time.
        object.__setattr__(self, "kwargs", {name: _from_file(name, value) for name, value in self.kwargs.items()})

    def single(self) -> "EnvConfig":
        """One copy, in this process."""
        vectorization = "sync" if self.vectorization == "async" else self.vectorization
        return replace(self, num_envs=1, num_threads=None, vectorization=vectorization)


def _from_file(name: str, value: Any) -> Setting:
    """The setting as it comes back from the run's file, which has words for infinities."""
    if isinstance(value, list | tuple):
        return [_from_file(name, item) for item in value]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        return {key: _from_file(name, item) for key, item in value.items()}
    if value is None or type(value) in (bool, int, float, str):
        return float(value) if value in ("inf", "-inf") else value
    raise ConfigError(
        f"env.kwargs.{name} must be made of numbers, words, None, lists and mappings, which a run's file can hold; got "
        f"{value!r}, a {type(value).__name__}. Give it as one of them"
    )


def check_settings(env_id: str, build: Callable[..., object], kwargs: Mapping[str, Any]) -> None:
    """Refuse settings that `build` does not take, and values of another type than it takes.

    Args:
        env_id: the world's name, for the message.
        build: a class or function whose keyword-only parameters are the settings.
        kwargs: what the user set.

    Raises:
        ConfigError: for the first unknown setting, with the nearest right name, or the first wrong value.
    """
    types = {name: p.annotation for name, p in signature(build).parameters.items() if p.kind is Parameter.KEYWORD_ONLY}
    for name, value in kwargs.items():
        if name not in types:
            raise ConfigError(
                f"{env_id} has no setting {name!r}.{did_you_mean(name, types)} It takes: {', '.join(types)}"
            )
        _check_type(f"{env_id}: {name}", types[name], value)


def _check_type(where: str, expected: Any, value: Any) -> None:
    from pydantic import TypeAdapter, ValidationError  # here, since most worlds are made without settings

    try:
        # Strictly, a list is no tuple; but what a world takes as a tuple is a list by now.
        TypeAdapter(expected).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{where}: {error.errors()[0]['msg']}, got {value!r}") from error
