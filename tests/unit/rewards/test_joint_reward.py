"""One reward from all kinds of answers: against naive loops, and simulated people whose reward and noise are known.

Shapes: L steps of a segment.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError, DataError
from heeler.core.nouns import Feedback, FeedbackKind, Segment
from heeler.rewards.joint.evidence import ITEM_KINDS, Evidence, Item, spread
from heeler.rewards.joint.model import JointModel, JointModelConfig, JointModelState
from heeler.rewards.joint.readings import Delay, Reader
from heeler.rewards.preference_model import PreferenceModelConfig
from heeler.rewards.step_features import StepFeatures, normalized

L, NUM_SEEN = 8, 3
WANTED = np.array([1.5, -1.0, 0.5])
FEATURES = StepFeatures(("observation", "action"), None, NUM_SEEN, 1)
NETWORK = PreferenceModelConfig(
    num_members=2, hidden_sizes=(), lapse=0.0, learning_rate=0.02, weight_decay=0.0, max_epochs=60, validation_share=0.2
)
CONFIG = JointModelConfig(reward=NETWORK, num_levels=5)


def segment(rng: np.random.Generator, name: object, length: int = L) -> Segment:
    observation = rng.normal(size=(length, NUM_SEEN)).astype(np.float32)
    return Segment(
        observation=observation,
        action=rng.uniform(-1, 1, (length, 1)).astype(np.float32),
        next_observation=observation,
        env_id="Toy",
        policy_version=0,
        trajectory_id=str(name),
        start_step=0,
    )


def worth(one: Segment) -> np.ndarray:
    """[L] what each step is worth: what is seen, and the action's distance from nought."""
    return one.observation @ WANTED - 2.0 * one.action[:, 0]


def feedback(kind: FeedbackKind, value: Mapping[str, Any], key: object, person: str = "p") -> Feedback:
    return Feedback(key=str(key), query_id=f"q{key}", kind=kind, value=value, annotator=person)


def reader(**changes: Any) -> Reader:
    given = {"features": FEATURES, "validation_share": 0.2, "num_levels": 5, "step_s": 0.5, "delay": Delay()}
    return Reader(**(given | changes))


def logistic(rng: np.random.Generator, level: float) -> bool:
    return bool(rng.random() < 1 / (1 + math.exp(-level)))


def asked(kind: FeedbackKind, number: int, seed: int, beta: float = 1.0, person: str = "p") -> list[Item]:
    """Answers of a person who speaks of the true worth with noise of 1 / beta."""
    rng, items = np.random.default_rng(seed), list[Item]()
    for place in range(number):
        key = f"{kind}-{person}-{seed}-{place}"
        one, two, three = (segment(rng, f"{key}-{part}") for part in "abc")
        if kind == "preference":
            is_left = logistic(rng, beta * float(worth(one).sum() - worth(two).sum()))
            items += reader().read(feedback(kind, {"choice": "left" if is_left else "right"}, key, person), [one, two])
        elif kind == "rating":
            level = int((beta * worth(one).sum() + rng.logistic() > np.array([-6.0, -2.0, 2.0, 6.0])).sum())
            value = {"score": level + 0.5, "low": 0.0, "high": 5.0}
            items += reader().read(feedback(kind, value, key, person), [one])
        elif kind == "critique":
            inside, outside = worth(one)[2:5].mean(), np.delete(worth(one), [2, 3, 4]).mean()
            sign = 1 if logistic(rng, beta * (inside - outside)) else -1
            value = {"text": "look", "start": 2, "end": 5, "sign": sign}
            items += reader().read(feedback(kind, value, key, person), [one])
        elif kind == "evaluation":
            marks = []
            for time_s in (1.1, 2.9):
                about = Delay().weights(time_s, L, 0.5) @ worth(one)
                marks.append({"time_s": time_s, "sign": 1 if logistic(rng, beta * float(about)) else -1})
            items += reader().read(feedback(kind, {"marks": marks}, key, person), [one])
        elif kind == "correction":
            actions = [one.action[3], two.action[0], three.action[0]]
            logit = beta * np.array([-2.0 * action[0] for action in actions])
            chosen = int(np.argmax(logit + rng.gumbel(size=3)))
            if chosen == 0:
                continue  # nobody corrects what is best as it is
            others = [[two, three][2 - chosen]]
            value = {"step": 3, "action": actions[chosen].tolist()}
            items += reader().read(feedback(kind, value, key, person), [one], others)
        else:
            each = [one, two, three]
            logit = beta * np.array([worth(other).sum() for other in each])
            chosen = int(np.argmax(logit + rng.gumbel(size=3)))
            shown = each.pop(chosen)
            items += reader().read(feedback(kind, {"segment_id": shown.id}, key, person), [shown], each)
    return items


def fitted(items: list[Item], config: JointModelConfig = CONFIG, seed: int = 0) -> tuple[JointModel, JointModelState]:
    model = JointModel(config, FEATURES)
    return model, model.fit(model.add(model.init(seed), items))


def likeness(model: JointModel, state: JointModelState) -> float:
    """Correlation of learned and true worth of fresh steps."""
    fresh = segment(np.random.default_rng(99), "fresh", 500)
    feature = normalized(FEATURES(fresh.observation, fresh.action, fresh.next_observation), state.moments)
    with torch.no_grad():
        return float(np.corrcoef(state.network(feature).mean(0).numpy(), worth(fresh))[0, 1])


# Evidence


def test_stretches_are_spread_in_order() -> None:
    places, owner = spread(torch.tensor([5, 0, 9]), torch.tensor([2, 0, 3]))
    assert places.tolist() == [5, 6, 9, 10, 11]
    assert owner.tolist() == [0, 0, 2, 2, 2]


def test_rows_weigh_the_steps_that_an_answer_is_about() -> None:
    """Values of rows by the tensors are those of a naive loop over answers, rows and steps."""
    items = [item for kind in ITEM_KINDS for item in asked(kind, 4, 1)]
    model = JointModel(CONFIG, FEATURES)
    state = model.add(model.init(0), items)
    state.moments.update(state.evidence.feature_PF)
    chosen = torch.tensor([3, 0, len(items) - 1, 7, 5, 12, len(items) - 4])
    feature = (state.evidence.feature_PF - state.moments.mean.float()) * torch.rsqrt(
        state.moments.variance + 1e-6
    ).float()
    with torch.no_grad():
        found = model._log_prob(state, state.evidence, model._normalized(state), chosen)
        start = 0
        naive = []
        for item in items:
            values = []
            for steps, weight in item.rows:
                raw = state.network(feature[start : start + len(steps)].clamp(-5, 5))
                values.append((raw * torch.tensor(weight, dtype=torch.float32)).sum(1))
                start += len(steps)
            naive.append(values)
        for place, chosen_item in enumerate(chosen.tolist()):
            item, values = items[chosen_item], naive[chosen_item]
            level = torch.stack(values, -1)
            if item.kind in ("correction", "demonstration"):
                expected = torch.log_softmax(level, -1)[:, 0]
            elif item.kind == "rating":
                cuts = state.noise.lowest_cut + torch.cat(
                    [torch.zeros(1), torch.nn.functional.softplus(state.noise.gap).cumsum(0)]
                )
                below = torch.cat([torch.zeros(2, 1), torch.sigmoid(cuts - level), torch.ones(2, 1)], 1)
                expected = (below[:, item.outcome + 1] - below[:, item.outcome]).log()
            else:
                sign = 1 if item.outcome == (0 if item.kind == "preference" else 1) else -1
                expected = torch.nn.functional.logsigmoid(sign * level[:, 0])
            torch.testing.assert_close(found[:, place], expected, rtol=1e-4, atol=1e-5)


def test_only_some_items_keep_their_own_steps() -> None:
    items = [item for kind in ITEM_KINDS for item in asked(kind, 3, 2)]
    evidence, part = Evidence.empty(FEATURES.size, 2), Evidence.empty(FEATURES.size, 2)
    people, count = [0] * len(items), torch.arange(2 * len(items)).view(2, -1).float()
    evidence.append(items, people, count)
    kept = [place for place in range(len(items)) if place % 3 != 1]
    part.append([items[place] for place in kept], [0] * len(kept), count[:, kept])
    mask = torch.zeros(len(items), dtype=torch.bool)
    mask[kept] = True
    found = evidence.only(mask)
    for name, tensor in part.tensors().items():
        if name in ("feature_PF", "step_E"):
            continue
        torch.testing.assert_close(found.tensors()[name], tensor)
    torch.testing.assert_close(found.feature_PF[found.step_E], part.feature_PF[part.step_E])


# Reading


def test_feedback_on_delay_is_credited_to_the_right_steps() -> None:
    """A mark stands for the steps between .6 and .2 s before it, each by how much of that time it was shown."""
    weight = Delay().weights(1.1, L, 0.5)  # from .5 to .9 s: the second step alone
    np.testing.assert_allclose(weight, [0, 1, 0, 0, 0, 0, 0, 0])
    weight = Delay(least_s=0.2, most_s=2.0).weights(2.2, L, 0.5)  # from .2 to 2.0 s
    np.testing.assert_allclose(weight, np.array([0.3, 0.5, 0.5, 0.5, 0, 0, 0, 0]) / 1.8)
    assert not Delay().weights(0.1, L, 0.5).any(), "nothing had been shown yet"


@pytest.mark.parametrize(
    ("least_s", "most_s"), [(math.nan, 0.6), (0.2, math.nan), (0.2, math.inf), (-0.1, 0.6), (0.6, 0.6)]
)
def test_a_delay_in_which_no_step_can_lie_is_refused(least_s: float, most_s: float) -> None:
    with pytest.raises(ConfigError, match=r"delay\.least_s must be >= 0 and below delay\.most_s"):
        Delay(least_s=least_s, most_s=most_s)


def test_answers_that_say_nothing_are_no_items() -> None:
    rng = np.random.default_rng(0)
    one, two = segment(rng, 1), segment(rng, 2)
    assert reader().read(feedback("preference", {"choice": "cant_tell"}, 1), [one, two]) == []
    assert reader().read(feedback("evaluation", {"marks": []}, 1), [one]) == []
    assert reader().read(feedback("critique", {"text": "hm", "start": 0, "end": 2}, 1), [one]) == []
    same = {"step": 2, "action": one.action[2].tolist()}
    assert reader().read(feedback("correction", same, 1), [one]) == []


def test_a_rating_is_read_in_levels_of_its_own_scale() -> None:
    one = segment(np.random.default_rng(0), 1)
    levels = [
        reader().read(feedback("rating", {"score": score, "low": -2.0, "high": 3.0}, 1), [one])[0].outcome
        for score in (-2.0, -1.01, -0.99, 2.9, 3.0)
    ]
    assert levels == [0, 0, 1, 4, 4]


def test_what_cannot_be_read_is_refused_by_name() -> None:
    rng = np.random.default_rng(0)
    one, short = segment(rng, 1), segment(rng, 2, 5)
    blind = reader(features=StepFeatures(("observation", "next_observation"), None, NUM_SEEN, 1))
    with pytest.raises(DataError, match="leave next_observation out"):
        blind.read(feedback("correction", {"step": 0, "action": [0.0]}, 1), [one])
    with pytest.raises(DataError, match="answer k: a demonstration needs something that could have been done instead"):
        reader().read(feedback("demonstration", {"segment_id": one.id}, "k"), [one])
    with pytest.raises(DataError, match=r"answer k: shown are 8 steps, alternatives have \[5\]"):
        reader().read(feedback("demonstration", {"segment_id": one.id}, "k"), [one], [short])
    broken = asked("preference", 1, 0)[0].rows[0]
    bad = Item(
        kind="preference", person="p", answer="k", rows=[(broken[0] * np.nan, broken[1])], outcome=0, validation=False
    )
    with pytest.raises(DataError, match="answer k: a step or its weight is no finite number"):
        JointModel(CONFIG, FEATURES).add(JointModel(CONFIG, FEATURES).init(0), [bad])
    with pytest.raises(ConfigError, match="num_levels must be >= 2, got 1"):
        JointModelConfig(num_levels=1)


# Fitting


@pytest.mark.parametrize("kind", ITEM_KINDS)
def test_each_kind_alone_tells_what_is_wanted(kind: FeedbackKind) -> None:
    number = {"critique": 600, "evaluation": 400, "correction": 300}.get(kind, 250)
    beta = {"critique": 3.0, "evaluation": 3.0, "correction": 3.0}.get(kind, 1.0)
    model, state = fitted(asked(kind, number, 3, beta))
    if kind == "correction":
        # Of what is seen a correction says nothing, as it is the same for all actions.
        feature = torch.zeros(2, FEATURES.size)
        feature[1, NUM_SEEN] = 1.0
        with torch.no_grad():
            low, high = state.network(feature).mean(0).tolist()
        assert high < low
        return
    assert likeness(model, state) > 0.9


def test_all_kinds_together_tell_more_than_one() -> None:
    few = {"preference": 12, "rating": 12, "critique": 12, "evaluation": 12, "demonstration": 12}
    gained = []
    for seed in range(4):
        alone = fitted(asked("preference", 12, 10 + seed))
        together = fitted([i for kind, n in few.items() for i in asked(kind, n, 10 + seed)])  # type: ignore[arg-type]
        gained.append(likeness(*together) - likeness(*alone))
    assert np.mean(gained) > 0.1
    assert min(gained) > 0


def test_precisions_of_kinds_are_learned() -> None:
    """Ratings by somebody who hardly looks come out several times as noisy as comparisons by somebody who does."""
    items = asked("preference", 400, 5, beta=1.0) + asked("rating", 400, 6, beta=0.1)
    _, state = fitted(items)
    ratio = state.last_fit["precision_preference"] / state.last_fit["precision_rating"]
    assert 5 < ratio < 20  # 10 is right


def test_precisions_of_people_are_learned_and_a_stranger_is_usual() -> None:
    items = asked("preference", 300, 7, beta=1.0, person="sharp") + asked("preference", 300, 8, beta=0.1, person="dull")
    items += asked("preference", 1, 9, person="stranger")
    model, state = fitted(items)
    precision = model.precision_of_people(state)
    assert precision["sharp"] > 2.5 * precision["dull"]
    assert precision["stranger"] == pytest.approx(1.0, abs=0.35)
    assert precision["dull"] < precision["stranger"] < precision["sharp"]


def test_fits_are_the_same_bit_for_bit_and_go_on_from_what_was_saved() -> None:
    items = asked("preference", 30, 1) + asked("rating", 30, 2, person="q")
    model, first = fitted(items)
    _, again = fitted(items)
    assert torch.equal(weights_of(first), weights_of(again))
    tensors = {name: tensor.clone() for name, tensor in model.tensors(first).items()}
    told = json.loads(json.dumps(model.told(first), allow_nan=False))
    loaded = model.load_tensors(model.init(5), tensors, told)
    more = asked("evaluation", 10, 3, person="r")
    for state in (first, loaded):
        model.fit(model.add(state, more))
    assert torch.equal(weights_of(first), weights_of(loaded))
    assert model.told(first) == model.told(loaded)


def weights_of(state: JointModelState) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for m in (state.network, state.noise) for p in m.parameters()])


def test_without_an_answer_is_as_if_it_had_never_come() -> None:
    items = asked("preference", 20, 1) + asked("evaluation", 10, 2)
    model, state = fitted(items)
    gone = {items[3].answer, items[-1].answer}
    left = model.without(state, gone, 4)
    assert set(left.answers) == {item.answer for item in items} - gone
    assert len(left.evidence) == len(left.answers) == len(left.bits)
    assert left.num_fits == 0
    assert likeness(model, model.fit(left)) > 0.5


def test_members_see_all_marks_of_an_answer_or_none() -> None:
    items = asked("evaluation", 40, 2)
    _, state = fitted(items)
    for key in {item.answer for item in items}:
        places = [place for place, answer in enumerate(state.answers) if answer == key]
        assert (state.evidence.count_MI[:, places] == state.evidence.count_MI[:, places[:1]]).all()


def test_kinds_begin_in_units_in_which_independent_steps_are_as_large() -> None:
    """By hand: a comparison of 8 steps weighs 16 of them, a rating 8 and a mark 1; later kinds do not move these."""
    model, state = fitted(asked("preference", 5, 1) + asked("evaluation", 5, 2))
    unit = {kind: float(state.noise.unit_K[place]) for place, kind in enumerate(ITEM_KINDS)}
    assert unit["preference"] == 1.0
    assert unit["evaluation"] == pytest.approx(4.0)
    assert unit["rating"] == 0.0, "not seen yet"
    model.expected_bits(state, asked("rating", 3, 3))
    assert float(state.noise.unit_K[ITEM_KINDS.index("rating")]) == pytest.approx(math.sqrt(2))
    assert float(state.noise.unit_K[ITEM_KINDS.index("preference")]) == 1.0


def test_segment_returns_are_sums_over_steps_whatever_their_length() -> None:
    model, state = fitted(asked("rating", 10, 1))
    rng = np.random.default_rng(1)
    segments = [segment(rng, 1, 3), segment(rng, 2, 8)]
    found = model.segment_returns(state, segments)
    for place, one in enumerate(segments):
        feature = normalized(FEATURES(one.observation, one.action, one.next_observation), state.moments)
        torch.testing.assert_close(found[:, place], state.network(feature).sum(1))


def test_bits_are_counted_by_kind() -> None:
    model, state = fitted(asked("preference", 20, 1))
    assert model.bits_by_kind(state) == {"preference": 0.0}, "nothing was known that they could change"
    model.add(state, asked("rating", 5, 2))
    assert model.bits_by_kind(state)["rating"] == pytest.approx(sum(state.bits[20:]))


# What answers are worth


def test_a_surprising_answer_says_more_than_one_that_all_members_foretold() -> None:
    model, state = fitted(asked("preference", 40, 1), JointModelConfig(reward=NETWORK, num_levels=5))
    assert all(math.isnan(bits) for bits in state.bits)
    model.add(state, asked("preference", 40, 2))
    later = np.array(state.bits[40:])
    assert np.isfinite(later).all()
    assert (later >= 0).all()
    assert later.max() <= 1.0 + 1e-6  # log2 of two members


def test_questions_that_members_disagree_on_are_expected_to_say_more() -> None:
    model, state = fitted(asked("preference", 10, 1))
    questions = asked("preference", 60, 2) + asked("rating", 60, 3)
    expected = model.expected_bits(state, questions)
    model.add(state, questions)
    found = np.array(state.bits[10:])
    assert expected.shape == (120,)
    assert np.corrcoef(expected, found)[0, 1] > 0.3
    # An expectation over the answers that the ensemble itself foretells.
    assert expected.mean() == pytest.approx(found.mean(), rel=0.6)


def test_a_kind_that_tells_nothing_new_gains_nothing() -> None:
    items = asked("preference", 40, 1) + asked("rating", 200, 2) + asked("evaluation", 60, 3, beta=0.0)
    model, state = fitted(items)
    gains = model.held_out_gains(state, 0)
    assert set(gains) == {"preference", "rating", "evaluation"}
    assert gains["rating"] > gains["evaluation"] - 0.02
    assert abs(gains["evaluation"]) < 0.1
    alone, only = fitted(asked("preference", 20, 1))
    with pytest.raises(DataError, match="held-out answers of other kinds"):
        alone.held_out_gains(only, 0)
