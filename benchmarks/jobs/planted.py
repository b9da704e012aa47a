"""Faults that are planted in a run while it learns, each with the monitors that ought to tell of it.

A fault is a function of the run and of the updates since it began; it is called before each update from then on. Worlds
are meddled with from outside (`Meddled`), answers on their way (`Crowd`), learners and reward models in place.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import torch

from heeler.algorithms.ppo import PPO
from heeler.core.nouns import Feedback, stable_id
from heeler.core.seeding import stream
from heeler.envs import World
from heeler.feedback.teachers import SimulatedTeacher
from heeler.loop.online import OnlineRun
from heeler.models.policy import Policy

PERSONS = tuple(f"person-{number}" for number in range(10))
Plant = Callable[[OnlineRun, int], None]
Result = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way in which a run goes wrong."""

    name: str
    run: str
    """Kind of run that it is planted in, of `faults.RUNS`."""
    plant: Plant
    monitors: tuple[str, ...]
    """Those that fit: a finding of one of them counts."""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Limits of monitors that are not the default ones, as the fault would take too long to come to those."""


# The world


class Meddled:
    """A world between which and the learner somebody stands.

    Args:
        world: that is stepped.
        on_action: what is done to actions on their way.
        on_result: what is done to what comes back.
    """

    def __init__(
        self,
        world: Any,
        on_action: Callable[[np.ndarray], np.ndarray] = lambda actions: actions,
        on_result: Callable[..., Result] = lambda *result: result,
    ) -> None:
        self._world, self._on_action, self._on_result = world, on_action, on_result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def step(self, actions: np.ndarray) -> Result:
        """As of the world."""
        return self._on_result(*self._world.step(self._on_action(actions)))


def _meddle(run: OnlineRun, **how: Any) -> None:
    run.collector.world = cast("World", Meddled(run.world, **how))


def world_fault(**how: Any) -> Plant:
    """What is done to every step from the beginning of the fault on."""

    def plant(run: OnlineRun, since: int) -> None:
        if since == 0:
            _meddle(run, **how)

    return plant


def stateful(make: Callable[[], Mapping[str, Any]]) -> Plant:
    """The same, for what has to remember something."""

    def plant(run: OnlineRun, since: int) -> None:
        if since == 0:
            _meddle(run, **make())

    return plant


def _rewarded(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    def on_result(observation, reward, terminated, truncated, infos):
        return observation, change(reward), terminated, truncated, infos

    return world_fault(on_result=on_result)


def _sensed(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """What is done to observations, those that end an episode among them."""

    def on_result(observation, reward, terminated, truncated, infos):
        if "final_obs" in infos:
            infos = infos | {"final_obs": change(infos["final_obs"].copy())}
        return change(observation.copy()), reward, terminated, truncated, infos

    return world_fault(on_result=on_result)


def _set(column: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def change(observation: np.ndarray) -> np.ndarray:
        observation[:, column] = value
        return observation

    return change


def _swap(first: int, second: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(observation: np.ndarray) -> np.ndarray:
        observation[:, [first, second]] = observation[:, [second, first]]
        return observation

    return change


def _noise(column: int, spread: float) -> Callable[[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)

    def change(observation: np.ndarray) -> np.ndarray:
        observation[:, column] += rng.normal(0, spread, len(observation)).astype(np.float32)
        return observation

    return change


def _late(steps: int, name: str) -> Callable[[], Mapping[str, Any]]:
    """Actions or rewards that come so many steps late."""

    def make() -> Mapping[str, Any]:
        held: list[np.ndarray] = []

        def late(value: np.ndarray) -> np.ndarray:
            held.append(value.copy())
            return held.pop(0) if len(held) > steps else held[0]

        if name == "action":
            return {"on_action": late}
        return {"on_result": lambda obs, reward, *rest: (obs, late(reward), *rest)}

    return make


def _costs(change: Callable[[np.ndarray], np.ndarray]) -> Plant:
    """What is done to the costs [N, C] of a step."""

    def on_result(observation, reward, terminated, truncated, infos):
        return observation, reward, terminated, truncated, infos | {"cost": change(infos["cost"].copy())}

    return world_fault(on_result=on_result)


def _no_cost(cost: np.ndarray) -> np.ndarray:
    cost[:, 0] = 0.0
    return cost


def _at_least(share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Of all steps, at least so many cost something."""
    rng = np.random.default_rng(1)

    def change(cost: np.ndarray) -> np.ndarray:
        cost[:, 0] = np.maximum(cost[:, 0], rng.random(len(cost)) < share)
        return cost

    return change


def _gravity(times: float) -> Plant:
    def plant(run: OnlineRun, since: int) -> None:
        if since == 0:
            world: Any = run.world
            world._g *= times

    return plant


def _slow(run: OnlineRun, since: int) -> None:
    """Steps that take so long that an update takes four times what it took."""
    if since:
        return
    seconds = 3 * run.elapsed_s / run.update / run.config.num_steps

    def on_action(actions: np.ndarray) -> np.ndarray:
        time.sleep(seconds)
        return actions

    _meddle(run, on_action=on_action)


def _hang(run: OnlineRun, since: int) -> None:
    """One step that takes as long as thirty updates, and two seconds more."""
    if since:
        return
    seconds = [2 + 30 * run.elapsed_s / run.update]

    def on_action(actions: np.ndarray) -> np.ndarray:
        time.sleep(seconds.pop() if seconds else 0.0)
        return actions

    _meddle(run, on_action=on_action)


# People


class Crowd:
    """Ten persons, each query answered by one of them as the simulated teacher would: what `PreferenceLoop.teacher` is.

    Args:
        teacher: knows the answers.
        seed: who answers what, and how long it takes.
    """

    def __init__(self, teacher: SimulatedTeacher, seed: int) -> None:
        self.teacher, self.seed = teacher, seed
        self.on_answers: Callable[[list[Feedback]], list[Feedback]] = lambda answers: answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self.teacher, name)

    def ready(self, step: int) -> list[Feedback]:
        """As of the teacher."""
        return self.on_answers([self._by_a_person(feedback) for feedback in self.teacher.ready(step)])

    def _by_a_person(self, feedback: Feedback) -> Feedback:
        rng = stream(self.seed, f"person {feedback.query_id}")
        person, took_s = PERSONS[rng.integers(len(PERSONS))], float(np.exp(rng.normal(1.2, 0.5)))
        return replace(feedback, annotator=person, time_taken_s=round(took_s, 2))


def with_crowd(run: OnlineRun) -> None:
    """Have ten persons answer."""
    assert run.preferences is not None and isinstance(run.preferences.teacher, SimulatedTeacher)
    for person in PERSONS:
        run.store.add_annotator(person, "simulated", "one of ten")
    run.preferences.teacher = cast("SimulatedTeacher", Crowd(run.preferences.teacher, run.config.seed))


def _answered(change: Callable[[Feedback], list[Feedback]], persons: Sequence[str]) -> Plant:
    """What is done to the answers of some persons."""

    def plant(run: OnlineRun, since: int) -> None:
        def on_answers(answers: list[Feedback]) -> list[Feedback]:
            return [new for one in answers for new in (change(one) if one.annotator in persons else [one])]

        assert run.preferences is not None
        crowd: Any = run.preferences.teacher
        crowd.on_answers = on_answers

    return plant


def _choosing(choose: Callable[[str, np.random.Generator], str]) -> Callable[[Feedback], list[Feedback]]:
    def change(feedback: Feedback) -> list[Feedback]:
        rng = stream(0, f"chooses {feedback.query_id}")
        return [replace(feedback, value={"choice": choose(feedback.value["choice"], rng)})]

    return change


_OPPOSITE = {"left": "right", "right": "left"}
_hostile = _choosing(lambda choice, rng: _OPPOSITE.get(choice, choice))
_careless = _choosing(lambda choice, rng: ("left", "right")[int(rng.integers(2))])
_leftist = _choosing(lambda choice, rng: "left")


def _bot(feedback: Feedback) -> list[Feedback]:
    return [replace(one, time_taken_s=0.05) for one in _careless(feedback)]


def _thrice(feedback: Feedback) -> list[Feedback]:
    return [feedback] + [replace(feedback, key=stable_id("again", feedback.key, time_)) for time_ in range(2)]


# The learned reward and the learner


def _loophole(run: OnlineRun, since: int) -> None:
    """The learned reward begins to pay for speed, which nobody asked for."""
    if since:
        return
    assert run.preferences is not None
    model = run.preferences.model
    predict = model.predict

    def hacked(state: Any, rollout: Any) -> torch.Tensor:
        raw_MTN = predict(state, rollout)
        fast_TN = torch.from_numpy(np.abs(rollout.next_observation[..., 2])) > 4
        return raw_MTN + 10 * raw_MTN.std() * fast_TN

    model.predict = hacked


def _dead_model(run: OnlineRun, since: int) -> None:
    """The learned reward says the same of everything: its weights are gone."""
    assert run.preferences is not None
    with torch.no_grad():
        run.preferences.model_state.parameters.flat.zero_()


def _set_learning_rate(times: float, *, updates: int | None = None) -> Plant:
    def plant(run: OnlineRun, since: int) -> None:
        usual = run.config.algorithm
        assert isinstance(run.ppo, PPO)
        is_on = updates is None or since < updates
        run.ppo.config = replace(usual, learning_rate=usual.learning_rate * times) if is_on else usual

    return plant


def _once(change: Callable[[Policy], None]) -> Plant:
    def plant(run: OnlineRun, since: int) -> None:
        if since == 0:
            with torch.no_grad():
                change(run.learner.policy)

    return plant


def _not_a_number(policy: Policy) -> None:
    next(policy.actor.parameters()).view(-1)[0] = float("nan")


def _forget_values(policy: Policy) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        fresh = Policy(policy.config, policy.observation_size, policy.action_space)
    for own, other in zip(policy.critic.parameters(), fresh.critic.parameters(), strict=True):
        own.copy_(other)


def _narrow(policy: Policy) -> None:
    policy.log_std.sub_(3.0)


def _sharpen(policy: Policy) -> None:
    last = policy.actor.layers[-1]
    for parameter in last.parameters():
        parameter.mul_(30.0)


# The machine

_LEAK: list[bytearray] = []


def _leak(run: OnlineRun, since: int) -> None:
    if since == 0:
        _LEAK.clear()
    _LEAK.append(bytearray(b"x" * (12 << 20)))


def _fill(run: OnlineRun, since: int) -> None:
    (run.directory.path / "media" / f"junk-{since}").write_bytes(b"x" * (8 << 20))


def _alter_checkpoint(run: OnlineRun, since: int) -> None:
    if since == 0:
        step = run.directory.checkpoint_steps()[-1]
        path = run.directory.path / "checkpoints" / f"step-{step}" / "tensors.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(bytes(content))


_REWARD = ("reward_signal", "return_drift", "value_loss", "gradients")
_SENSOR = ("stuck_sensor", "observations", "dynamics")
_BODY = ("dynamics", "observations", "return_drift")
_COST = ("cost_drift", "cost_over_budget")
_STEP = ("kl_spike", "gradients", "value_loss", "entropy_collapse", "return_drift", "breakdown")
_PERSON = ("disagreeing_person", "agreement_drift")

FAULTS: tuple[Fault, ...] = (
    Fault(name="reward_sign", run="pendulum", plant=_rewarded(np.negative), monitors=_REWARD),
    Fault(name="reward_times_100", run="cartpole", plant=_rewarded(lambda reward: 100 * reward), monitors=_REWARD),
    Fault(name="reward_constant", run="pendulum", plant=_rewarded(np.zeros_like), monitors=_REWARD),
    Fault(name="reward_late", run="pendulum", plant=stateful(_late(20, "reward")), monitors=_REWARD),
    Fault(
        name="reward_nan",
        run="cartpole",
        plant=_rewarded(lambda reward: np.where(reward > 0, np.nan, reward)),
        monitors=("breakdown", "reward_signal"),
    ),
    Fault(name="sensor_stuck", run="cartpole", plant=_sensed(_set(2, 0.03)), monitors=_SENSOR),
    Fault(name="sensor_zero", run="limits", plant=_sensed(_set(4, 0.0)), monitors=_SENSOR),
    Fault(name="sensor_noise", run="pendulum", plant=_sensed(_noise(2, 1.0)), monitors=_SENSOR),
    Fault(name="sensors_swapped", run="cartpole", plant=_sensed(_swap(1, 3)), monitors=_SENSOR),
    Fault(name="action_ignored", run="pendulum", plant=world_fault(on_action=np.zeros_like), monitors=_BODY),
    Fault(name="action_reversed", run="limits", plant=world_fault(on_action=np.negative), monitors=_BODY),
    Fault(name="action_late", run="pendulum", plant=stateful(_late(3, "action")), monitors=_BODY),
    Fault(name="gravity", run="pendulum", plant=_gravity(1.8), monitors=_BODY),
    Fault(name="hostile_30", run="people", plant=_answered(_hostile, PERSONS[:3]), monitors=_PERSON),
    Fault(name="hostile_10", run="people", plant=_answered(_hostile, PERSONS[:1]), monitors=_PERSON),
    Fault(name="careless_person", run="people", plant=_answered(_careless, PERSONS[:1]), monitors=_PERSON),
    Fault(
        name="position_biased",
        run="people",
        plant=_answered(_leftist, PERSONS[:3]),
        monitors=("one_sided_answers", *_PERSON),
    ),
    Fault(name="fast_bot", run="people", plant=_answered(_bot, PERSONS[:1]), monitors=("fast_answers", *_PERSON)),
    Fault(name="answers_doubled", run="people", plant=_answered(_thrice, PERSONS[:2]), monitors=("repeated_answers",)),
    Fault(name="feedback_stops", run="people", plant=_answered(lambda one: [], PERSONS), monitors=("feedback_stops",)),
    Fault(
        name="reward_loophole",
        run="people",
        plant=_loophole,
        monitors=("reward_signal", "reward_hacking", "reward_disagreement", "return_drift"),
    ),
    Fault(name="reward_model_dead", run="people", plant=_dead_model, monitors=("reward_signal", "reward_disagreement")),
    Fault(name="weight_nan", run="cartpole", plant=_once(_not_a_number), monitors=("breakdown",)),
    Fault(name="learning_rate_times_100", run="cartpole", plant=_set_learning_rate(100), monitors=_STEP),
    Fault(name="kl_spike", run="pendulum", plant=_set_learning_rate(100, updates=1), monitors=_STEP),
    Fault(
        name="entropy_collapse",
        run="pendulum",
        plant=_once(_narrow),
        monitors=("entropy_collapse", "kl_spike", "gradients"),
    ),
    Fault(
        name="entropy_collapse_of_choices",
        run="cartpole",
        plant=_once(_sharpen),
        monitors=("entropy_collapse", "kl_spike", "gradients"),
    ),
    Fault(name="values_forgotten", run="pendulum", plant=_once(_forget_values), monitors=("value_loss", "gradients")),
    Fault(name="cost_sensor_dead", run="limits", plant=_costs(_no_cost), monitors=("cost_sensor",)),
    Fault(name="cost_jumps", run="limits", plant=_costs(lambda cost: 4 * cost), monitors=_COST),
    Fault(name="budget_breached", run="limits", plant=_costs(_at_least(0.95)), monitors=_COST),
    Fault(
        name="memory_leak",
        run="cartpole",
        plant=_leak,
        monitors=("resources",),
        settings={"memory_growth_mb": 150.0},
    ),
    Fault(
        name="disk_fills", run="cartpole", plant=_fill, monitors=("resources",), settings={"least_free_disk_mb": -80}
    ),
    Fault(
        name="world_hangs",
        run="cartpole",
        plant=_hang,
        monitors=("stall",),
        settings={"stall_s": 1.0},
    ),
    Fault(name="world_slow", run="cartpole", plant=_slow, monitors=("slow_updates", "stall")),
    Fault(name="checkpoint_altered", run="cartpole", plant=_alter_checkpoint, monitors=("checkpoints",)),
)
"""`least_free_disk_mb` below 0 is taken from what is free when the run begins."""
