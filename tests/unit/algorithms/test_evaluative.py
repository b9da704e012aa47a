"""TAMER, Deep TAMER, COACH and Deep COACH: what each must do, by hand, by naive loops and by enumeration."""

import itertools
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from heeler.algorithms import EVALUATIVE_ALGORITHMS
from heeler.algorithms.coach import COACH, COACHConfig, COACHState, num_trace_steps
from heeler.algorithms.deep_coach import DeepCOACH, DeepCOACHConfig
from heeler.algorithms.deep_tamer import DeepTAMER, DeepTAMERConfig
from heeler.algorithms.evaluative import SignalReplay, as_batch
from heeler.algorithms.tamer import TAMER, TAMERConfig, TAMERState
from heeler.core.errors import ConfigError
from heeler.models.bases import BasisConfig
from tests.unit.algorithms.evaluative_worlds import credited, one_hot

SEEN = Box(-1.0, 1.0, (3,), np.float32)
SPACES = {"discrete": Discrete(3), "multi_discrete": MultiDiscrete([2, 3]), "box": Box(-1.0, 1.0, (2,), np.float32)}
ONLY_DISCRETE = (TAMER, DeepTAMER)


@pytest.fixture(params=EVALUATIVE_ALGORITHMS, ids=lambda pair: pair[0].__name__)
def algorithm(request):
    return request.param


def kinds(algorithm):
    return ["discrete"] if algorithm[0] in ONLY_DISCRETE else list(SPACES)


def right_action(kind, observation):
    """What is to be done where this is seen; Box: the first two numbers themselves."""
    if kind == "box":
        return observation[:2]
    place = int(observation.argmax())
    return np.array([place]) if kind == "discrete" else np.array([place % 2, place])


def is_good(kind, observation, action):
    wanted = right_action(kind, observation)
    if kind == "box":
        return np.abs(np.clip(action, -1, 1) - wanted).max() < 0.5
    return (action == wanted).all()


def draw(kind, rng):
    return rng.uniform(-0.8, 0.8, 3).astype(np.float32) if kind == "box" else one_hot(rng.integers(3), 3)


# What is bad in a policy that seldom finds what is good drives it into a corner, where steps are long.
PATIENT = {COACH: {"step_size": 0.15}}


NUM_SIGNALS = {"discrete": 200, "multi_discrete": 600, "box": 600}


def said_of(learner, state, kind, observation, action):
    """Good or bad: whether it is right; of numbers, whether it is nearer than what the policy does on average."""
    if kind != "box":
        return 1 if is_good(kind, observation, action) else -1
    usual, wanted = learner.best(state, observation[None])[0], right_action(kind, observation)
    return 1 if np.square(action - wanted).sum() < np.square(usual - wanted).sum() else -1


def train(algorithm, kind, num_signals=None, seed=0, state=None, **settings):
    learner_class, config_class = algorithm
    learner = learner_class(config_class(**(PATIENT.get(learner_class, {}) | settings)), SEEN, SPACES[kind])
    state = learner.init(seed) if state is None else state
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    for _ in range(num_signals or NUM_SIGNALS[kind]):
        observation = draw(kind, rng)
        choice = learner.choose(state, observation, generator)
        sign = said_of(learner, state, kind, observation, choice.action_A)
        signal = credited([observation], [choice.action_A], [1.0], sign, log_prob=[choice.log_prob])
        state, told = learner.learn(state, signal)
        assert all(math.isfinite(value) for value in told.values())
        state, _ = learner.rehearse(state)
    return learner, state


def test_learns_what_is_called_good(algorithm):
    for kind in kinds(algorithm):
        learner, state = train(algorithm, kind)
        rng = np.random.default_rng(99)
        seen = np.stack([draw(kind, rng) for _ in range(100)])
        fresh = learner.best(learner.init(5), seen)
        share = [
            np.mean([is_good(kind, one, act) for one, act in zip(seen, best, strict=True)])
            for best in (fresh, learner.best(state, seen))
        ]
        assert share[0] < 0.8
        assert share[1] > 0.9, kind


def test_same_seed_same_state_bit_for_bit(algorithm):
    for kind in kinds(algorithm):
        traces = [
            {name: tensor.clone() for name, tensor in learner.tensors(state).items()}
            for learner, state in (train(algorithm, kind, 20) for _ in range(2))
        ]
        assert traces[0].keys() == traces[1].keys()
        for name in traces[0]:
            assert torch.equal(traces[0][name], traces[1][name]), name


def test_save_load_same_update_bit_for_bit(algorithm):
    for kind in kinds(algorithm):
        learner, state = train(algorithm, kind, 20)
        saved = {name: tensor.clone() for name, tensor in learner.tensors(state).items()}
        loaded = learner.load_tensors(learner.init(99), saved)
        after = []
        for one in (state, loaded):
            _, learned = train(algorithm, kind, 10, seed=7, state=one)
            after.append({name: tensor.clone() for name, tensor in learner.tensors(learned).items()})
        for name in after[0]:
            assert torch.equal(after[0][name], after[1][name]), name


def test_actions_that_cannot_be_compared_are_refused():
    for learner_class, config_class in EVALUATIVE_ALGORITHMS:
        if learner_class in ONLY_DISCRETE:
            for kind in ("multi_discrete", "box"):
                with pytest.raises(ConfigError, match="needs a world with Discrete actions"):
                    learner_class(config_class(), SEEN, SPACES[kind])
        else:
            with pytest.raises(ConfigError, match="log_std is for Box actions"):
                learner_class(config_class(log_std=0.3), SEEN, SPACES["discrete"])
        with pytest.raises(ConfigError, match="flat Box"):
            learner_class(config_class(), Discrete(4), SPACES["discrete"])


@pytest.mark.parametrize(
    ("config_class", "bad"),
    [
        (TAMERConfig, {"step_size": 2.0}),
        (TAMERConfig, {"step_size": math.nan}),
        (TAMERConfig, {"num_averaged": 0}),
        (COACHConfig, {"num_averaged": 0}),
        (DeepTAMERConfig, {"learning_rate": 0.0}),
        (DeepTAMERConfig, {"hidden_sizes": ()}),
        (DeepTAMERConfig, {"capacity": 0}),
        (DeepTAMERConfig, {"num_rehearsals": -1}),
        (DeepTAMERConfig, {"activation": "sine"}),
        (COACHConfig, {"step_size": 0.0}),
        (COACHConfig, {"trace_decay": 1.0}),
        (COACHConfig, {"ratio_limit": 0.5}),
        (COACHConfig, {"log_std": math.inf}),
        (DeepCOACHConfig, {"trace_decay": -0.1}),
        (DeepCOACHConfig, {"entropy_coefficient": math.nan}),
        (DeepCOACHConfig, {"minibatch_size": 0}),
    ],
)
def test_bad_settings_are_refused(config_class, bad):
    (name,) = bad
    with pytest.raises(ConfigError, match=name):
        config_class(**bad)


# TAMER


def test_tamer_by_hand():
    """Two steps share a signal of 1: the model is told half of each, and corrects half of its error on both."""
    learner = TAMER(TAMERConfig(step_size=0.5), SEEN, Discrete(2))
    state = learner.init(0)
    signal = credited([[1, 0, 0], [0, 1, 0]], [0, 1], [0.5, 0.5], 1)
    state, told = learner.learn(state, signal)
    assert told["error"] == 1.0
    # Features (1, 0, 0) and (0, 1, 0) are credited a half each; the error is 1, and half of it is corrected.
    assert state.weight_LF.tolist() == [[0.25, 0, 0], [0, 0.25, 0]]
    assert learner.human_reward(state, np.array([[1, 0, 0]], np.float32)).tolist() == [[0.25, 0.0]]
    # The next error is 1 - (.5 * .25 + .5 * .25).
    assert learner.learn(state, signal)[1]["error"] == 0.75


def test_tamer_update_is_the_gradient_of_its_squared_error():
    learner = TAMER(TAMERConfig(step_size=0.3), SEEN, Discrete(3))
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.normal(size=(3, 3)).astype(np.float32))
    state = TAMERState(weight_LF=weights, mean_LF=weights)
    signal = credited(rng.normal(size=(5, 3)), rng.integers(3, size=5), rng.dirichlet(np.ones(5)), -1)
    weight = state.weight_LF.clone().requires_grad_()
    expected = sum(
        float(signal.credit[k]) * (learner.basis(torch.from_numpy(signal.observation[k])) @ weight[signal.action[k, 0]])
        for k in range(5)
    )
    (0.5 * (signal.sign - expected) ** 2).backward()
    assert weight.grad is not None
    torch.testing.assert_close(learner.learn(state, signal)[0].weight_LF, state.weight_LF - 0.3 * weight.grad)


def test_tamer_breaks_ties_by_chance_and_only_ties():
    learner = TAMER(TAMERConfig(), SEEN, Discrete(3))
    generator = torch.Generator().manual_seed(0)
    seen = one_hot(0, 3)
    assert {int(learner.choose(learner.init(0), seen, generator).action_A[0]) for _ in range(50)} == {0, 1, 2}
    state, _ = learner.learn(learner.init(0), credited([seen], [1], [1.0], 1))
    choices = [learner.choose(state, seen, generator) for _ in range(20)]
    assert {int(choice.action_A[0]) for choice in choices} == {1}
    assert choices[0].probability_L is not None and choices[0].probability_L.tolist() == [0.0, 1.0, 0.0]


def test_averaged_weights_are_what_is_done_where_nobody_watches():
    """Three signals, of which the last is a mistake: the newest weights follow it, their mean does not."""
    learner = TAMER(TAMERConfig(step_size=1.0, num_averaged=3), SEEN, Discrete(2))
    state, weights = learner.init(0), []
    for action, sign in ((1, 1), (1, 1), (1, -1)):
        state, _ = learner.learn(state, credited([[1, 0, 0]], [action], [1.0], sign))
        weights.append(state.weight_LF)
    torch.testing.assert_close(state.mean_LF, torch.stack(weights).mean(0))
    seen = np.array([[1, 0, 0]], np.float32)
    assert learner.best(state, seen).tolist() == [[1]]
    assert learner.choose(state, seen[0], torch.Generator().manual_seed(0)).action_A.tolist() == [0]


# Deep TAMER


def test_deep_tamer_loss_against_a_loop_over_steps_and_signals():
    learner = DeepTAMER(DeepTAMERConfig(), SEEN, Discrete(3))
    state, rng = learner.init(0), np.random.default_rng(0)
    replay, total = SignalReplay(None, 3), 0.0
    for sign in (1, -1, 1):
        signal = credited(rng.normal(size=(4, 3)), rng.integers(3, size=4), rng.dirichlet(np.ones(4)), sign)
        replay.add(signal)
        expected = learner.human_reward(state, signal.observation).numpy()
        for k in range(4):
            total += signal.credit[k] * (expected[k, signal.action[k, 0]] - sign) ** 2 / 3
    assert replay.kept is not None
    assert float(learner.loss(state, replay.kept).detach()) == pytest.approx(total, rel=1e-5)


def test_the_oldest_signal_gives_way():
    replay = SignalReplay(None, 2)
    for sign in (1, -1, 1, 1):
        replay.add(credited([[sign, 0, 0]], [0], [1.0], sign))
    assert replay.kept is not None and replay.size == 2
    assert replay.kept.sign_M.tolist() == [1.0, 1.0]
    again = SignalReplay(None, 2)
    again.load_tensors(replay.tensors())
    assert again.num_added == 4 and again.kept is not None
    assert torch.equal(again.kept.observation_MKO, replay.kept.observation_MKO)


# COACH


def test_coach_by_hand():
    """Two choices alike: the gradient of log 1/2 is (1/2, -1/2), times a trace of 1 and of .5 before it."""
    learner = COACH(COACHConfig(step_size=1.0, trace_decay=0.5), SEEN, Discrete(2))
    half = math.log(0.5)
    signal = credited([[1, 0, 0], [0, 1, 0]], [1, 0], [0.0, 1.0], 1, log_prob=[half, half])
    state, _ = learner.learn(learner.init(0), signal)
    wanted = torch.tensor([[-0.25, 0.5, 0.0], [0.25, -0.5, 0.0]])
    torch.testing.assert_close(state.weight_LF, wanted)


def test_a_trace_does_not_reach_into_the_episode_before():
    learner = COACH(COACHConfig(step_size=1.0, trace_decay=0.9), SEEN, Discrete(2))
    signal = credited([[1, 0, 0], [0, 1, 0]], [1, 0], [0.0, 1.0], 1, log_prob=[math.log(0.5)] * 2, begins=[False, True])
    state, _ = learner.learn(learner.init(0), signal)
    assert state.weight_LF[:, 0].abs().sum() == 0
    assert state.weight_LF[0, 1] > 0


def test_steps_that_never_were_teach_nothing():
    learner = COACH(COACHConfig(trace_decay=0.9), SEEN, Discrete(2))
    with_padding = credited(
        [[0, 0, 0], [0, 1, 0]], [0, 0], [0.0, 1.0], 1, log_prob=[0, math.log(0.5)], known=[False, True]
    )
    alone = credited([[0, 1, 0]], [0], [1.0], 1, log_prob=[math.log(0.5)])
    padded, bare = (learner.learn(learner.init(0), one)[0] for one in (with_padding, alone))
    torch.testing.assert_close(padded.weight_LF, bare.weight_LF)


def test_eligibility_traces_against_the_algorithm_of_the_paper():
    """Step by step as in algorithm 1: the trace fades, takes the gradient of the action d steps ago, and each signal
    moves the policy along it. Here signals do not overlap with learning: one at the end."""
    rng = np.random.default_rng(3)
    observations, actions, late, decay = rng.normal(size=(12, 3)), rng.integers(3, size=12), 2, 0.8
    learner = COACH(COACHConfig(step_size=0.7, trace_decay=decay), SEEN, Discrete(3))
    weights = torch.from_numpy(rng.normal(size=(3, 3)).astype(np.float32))
    state = COACHState(weight_LF=weights, mean_LF=weights)
    weight = state.weight_LF.clone().requires_grad_()
    log_probs = torch.log_softmax(learner.output(weight, torch.tensor(observations).float()), -1)
    trace = torch.zeros_like(state.weight_LF)
    for t in range(12):
        trace = decay * trace
        if t - late >= 0:
            (gradient,) = torch.autograd.grad(log_probs[t - late, actions[t - late]], weight, retain_graph=True)
            trace = trace + gradient
    acted = log_probs.detach().numpy()[np.arange(12), actions]
    signal = credited(observations, actions, np.eye(12)[11 - late], -1, log_prob=acted)
    learned, _ = learner.learn(state, signal)
    torch.testing.assert_close(learned.weight_LF, state.weight_LF - 0.7 * trace, atol=1e-5, rtol=1e-4)


def test_gradient_by_enumeration_of_a_tiny_policy():
    """Advantages in the place of what people say, and no trace: COACH climbs the true return. All ways of two steps
    through two states are gone over, each by its probability, and the return is differentiated itself."""
    reward = torch.tensor([[[0.3, -0.2], [1.0, 0.1]], [[0.0, 2.0], [0.7, -1.0]]])  # [first, second state, action]
    learner = COACH(COACHConfig(step_size=1.0, trace_decay=0.0), Box(0, 1, (2,), np.float32), Discrete(2))
    rng = np.random.default_rng(0)
    weights = torch.from_numpy(rng.normal(size=(2, 2)).astype(np.float32))
    state = COACHState(weight_LF=weights, mean_LF=weights)
    weight = state.weight_LF.clone().requires_grad_()
    states = torch.eye(2)
    probability = torch.softmax(learner.output(weight, states), -1)
    # From state 0 an action leads to the state of its own number, where the second and last step is made.
    second_value = (probability * reward[1]).sum(-1)
    first_q = reward[0, 0] + second_value
    total = (probability[0] * first_q).sum()
    (gradient,) = torch.autograd.grad(total, weight)

    climbed = torch.zeros_like(gradient)
    p = probability.detach().numpy()
    for first, second in itertools.product(range(2), repeat=2):
        chance = p[0, first] * p[first, second]
        said = (
            float(first_q[first].detach() - total.detach()),
            float(reward[1, first, second] - second_value[first].detach()),
        )
        for where, action, advantage in ((0, first, said[0]), (first, second, said[1])):
            signal = credited([one_hot(where, 2)], [action], [1.0], advantage, log_prob=[np.log(p[where, action])])
            climbed += chance * (learner.learn(state, signal)[0].weight_LF - state.weight_LF)
    torch.testing.assert_close(climbed, gradient, atol=1e-5, rtol=1e-4)


def test_a_trace_is_long_enough_to_fade():
    for decay in (0.0, 0.5, 0.95):
        assert decay ** (num_trace_steps(decay) + 1) < 0.01


def test_deep_coach_loss_against_a_loop():
    learner = DeepCOACH(DeepCOACHConfig(trace_decay=0.5, entropy_coefficient=0.2, ratio_limit=1.5), SEEN, Discrete(3))
    state, rng = learner.init(0), np.random.default_rng(0)
    acted = np.log(rng.uniform(0.1, 0.9, 3))
    signal = credited(rng.normal(size=(3, 3)), rng.integers(3, size=3), [0.2, 0.5, 0.3], -1, log_prob=acted)
    with torch.no_grad():
        log_probs = torch.log_softmax(state.network(learner.basis(torch.from_numpy(signal.observation))), -1).numpy()
    aim = 0.0
    for k in range(3):
        trace = sum(signal.credit[j] * 0.5 ** (j - k) for j in range(k, 3))
        log_prob = log_probs[k, signal.action[k, 0]]
        aim += -1 * trace * min(1.5, math.exp(log_prob - acted[k])) * log_prob
    entropy = -(np.exp(log_probs) * log_probs).sum(-1).mean()
    loss, _ = learner.loss(state, as_batch(signal))
    assert float(loss.detach()) == pytest.approx(-aim - 0.2 * entropy, rel=1e-4)


def test_an_entropy_bonus_keeps_the_policy_undecided():
    entropies = []
    for coefficient in (0.0, 1.0):
        learner, state = train((DeepCOACH, DeepCOACHConfig), "discrete", 200, entropy_coefficient=coefficient)
        with torch.no_grad():
            log_probs = torch.log_softmax(state.network(learner.basis(torch.eye(3))), -1)
        entropies.append(float(-(log_probs.exp() * log_probs).sum(-1).mean()))
    assert entropies[0] < 0.5 * entropies[1]


# Feedback is about the policy, not a reward


def path_advantages(probability):
    """What is said on a small path by whoever knows the agent: state 0 offers a safe .5, or to go on to state 1, where
    one choice wins 1 and the other loses 1. [state, action], the advantages under the policy."""
    ahead = probability[1] @ np.array([1.0, -1.0])
    first, second = np.array([0.5, ahead]), np.array([1.0, -1.0])
    return np.stack([first - probability[0] @ first, second - probability[1] @ second])


def walk_the_path(learner, seed, num_episodes, said):
    """Episodes on the path, each step judged at once by `said(probability [2, 2])`; returns how likely it wins."""
    state, generator = learner.init(seed), torch.Generator().manual_seed(seed)
    for _ in range(num_episodes):
        where = 0
        while where is not None:
            choices = [learner.choose(state, one_hot(at, 2), generator) for at in range(2)]
            probability = np.stack([choice.probability_L for choice in choices])
            action = int(choices[where].action_A[0])
            judged = said(probability)[where, action]
            signal = credited([one_hot(where, 2)], [action], [1.0], judged, log_prob=[choices[where].log_prob])
            state, _ = learner.learn(state, signal)
            where = 1 if (where, action) == (0, 1) else None
    best = learner.best(state, np.eye(2, dtype=np.float32))[:, 0]
    return best[0] == 1 and best[1] == 0


PATH = Box(0, 1, (2,), np.float32)


def test_feedback_is_about_the_policy_not_a_reward():
    """The trap: under advantages of the policy of the moment, going on looks bad for as long as what follows is played
    badly. COACH comes back to it once that has changed. What regresses on signals as if they were a reward of actions
    writes going on off for good: it stays with the safe choice, and never sees that the rest is learned."""
    coach = COACH(COACHConfig(step_size=0.4, trace_decay=0.0), PATH, Discrete(2))
    tamer = TAMER(TAMERConfig(step_size=0.4), PATH, Discrete(2))
    assert sum(walk_the_path(coach, seed, 400, path_advantages) for seed in range(4)) == 4
    assert sum(walk_the_path(tamer, seed, 60, path_advantages) for seed in range(4)) <= 1


def test_feedback_about_actions_is_a_value_and_not_an_advantage():
    """The other way round: where people say how good an action is, whatever the agent does otherwise, everything that
    is good in its way is praised. TAMER compares; COACH takes praise for more than average, and settles on whatever
    it happened to do first."""
    good = np.array([[0.8, 1.0], [1.0, 0.9]])
    coach = COACH(COACHConfig(step_size=1.0, trace_decay=0.0), PATH, Discrete(2))
    tamer = TAMER(TAMERConfig(step_size=0.3), PATH, Discrete(2))

    def share_right(learner, explore):
        right = 0
        for seed in range(6):
            state, generator = learner.init(seed), torch.Generator().manual_seed(seed)
            rng = np.random.default_rng(seed)
            for _ in range(100):
                where = int(rng.integers(2))
                choice = learner.choose(state, one_hot(where, 2), generator)
                action = int(rng.integers(2)) if explore else int(choice.action_A[0])
                signal = credited([one_hot(where, 2)], [action], [1.0], good[where, action], log_prob=[choice.log_prob])
                state, _ = learner.learn(state, signal)
            right += int((learner.best(state, np.eye(2, dtype=np.float32))[:, 0] == good.argmax(1)).sum())
        return right / 12

    assert share_right(tamer, explore=True) == 1.0
    assert share_right(coach, explore=False) < 0.8


def test_bases_of_all_kinds_serve_all_learners():
    world = Box(np.array([-1.2, -0.07], np.float32), np.array([0.6, 0.07], np.float32))
    for (learner_class, config_class), kind in itertools.product(
        EVALUATIVE_ALGORITHMS, ("plain", "scaled", "tiles", "radial")
    ):
        learner = learner_class(config_class(basis=BasisConfig(kind=kind, num_cells=3)), world, Discrete(3))
        seen = np.array([[-0.5, 0.01], [0.1, -0.02]], np.float32)
        assert learner.best(learner.init(0), seen).shape == (2, 1)
