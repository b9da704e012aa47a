"""What each answer counts for: who gave it, capped, forgotten, and held against what did not learn from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from heeler.core.errors import ConfigError
from heeler.feedback.annotators.answers import Answers, Comparison, answers_of
from heeler.rewards.answerers import DriftConfig, Margins, PeopleConfig, weigh
from heeler.rewards.preference_model import Comparisons, PreferenceModel, PreferenceModelConfig
from heeler.rewards.unseen import differences, unseen_margins

KINDS = ["honest"] * 6 + ["hostile"] * 2 + ["careless"] * 2


def answered(num_each: int = 60, seed: int = 0) -> tuple[Answers, np.ndarray, np.ndarray]:
    """Everybody's answers to questions whose true margins are known, in turn."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(size=num_each * len(KINDS)) * 2
    given = []
    for row, value in enumerate(margin):
        kind = KINDS[row % len(KINDS)]
        left = rng.random() < (0.5 if kind == "careless" else 1 / (1 + np.exp(-value)))
        left = left != (kind == "hostile")
        name = f"{kind}-{row % len(KINDS)}"
        given.append(Comparison(person=name, left=f"a{row}", right=f"b{row}", choice="left" if left else "right"))
    return answers_of(given), margin, rng.random(len(margin))


def known(margin: np.ndarray) -> Margins:
    return Margins(value_Q=margin, is_unseen_Q=np.ones(len(margin), bool), is_fitted=True)


def test_people_are_told_from_margins_and_weighed() -> None:
    answers, margin, _ = answered()
    found = weigh(answers, known(margin), PeopleConfig()).answerers
    for row, name in enumerate(answers.people[person] for person in answers.person_N):
        eta = found.reliability_Q[row].item()
        low, high = {"honest": (0.8, 1), "hostile": (0, 0.3), "careless": (0.3, 0.8)}[name.split("-")[0]]
        assert low <= eta <= high
    assert found.weight_Q.tolist() == pytest.approx([1.0] * len(margin)), "ten people are all below the cap"


def test_trap_one_person_never_outweighs_the_cap() -> None:
    answers, margin, _ = answered(30)
    busy = answers.person_N.copy()
    busy[answers.person_N < 6] = np.where(
        np.arange((answers.person_N < 6).sum()) % 10 < 8, 0, busy[answers.person_N < 6]
    )
    answers = replace(answers, person_N=busy)
    found = weigh(answers, known(margin), PeopleConfig(influence_cap=0.3)).answerers
    weight = found.weight_Q.numpy()
    share = np.bincount(busy, weight, answers.num_people) / weight.sum()
    assert share[0] == pytest.approx(0.3, abs=0.01) == share.max()


def test_the_cap_does_not_hold_reliable_people_down_to_what_coins_say() -> None:
    """Two who are reliable among four coins, all as busy: a cap by what can be learned would silence the two."""
    answers, margin, _ = answered()
    few = np.isin(answers.person_N, [0, 1, 8, 9])
    kept = replace(
        answers,
        person_N=answers.person_N[few],
        outcome_N=answers.outcome_N[few],
        left_N=answers.left_N[few],
        right_N=answers.right_N[few],
        time_s_N=answers.time_s_N[few],
    )
    found = weigh(kept, known(margin[few]), PeopleConfig(influence_cap=0.3)).answerers
    assert found.weight_Q.numpy() == pytest.approx(1.0)


def test_before_there_is_a_reward_only_gold_tells_of_people() -> None:
    answers, margin, _ = answered()
    nothing = Margins(value_Q=np.zeros(len(margin)), is_unseen_Q=np.zeros(len(margin), bool), is_fitted=False)
    found = weigh(answers, nothing, PeopleConfig())
    assert found.judged is None
    assert found.answerers.reliability_Q.numpy() == pytest.approx(0.8, abs=0.01)
    gold = np.where(np.arange(len(margin)) < 300, np.where(margin > 0, 0, 1), -1)
    anchored = weigh(answers, nothing, PeopleConfig(), gold_N=gold).people
    eta = dict(zip(answers.people, anchored.mean_P, strict=True))
    assert eta["hostile-6"] < 0.4 < 0.7 < eta["honest-0"]


def test_forgotten_answers_weigh_little_and_say_nothing_of_people() -> None:
    answers, margin, _ = answered()
    old = np.arange(len(margin)) < 300
    flipped = np.where(old, -margin, margin)
    kept = weigh(answers, known(flipped), PeopleConfig()).people
    forgot = weigh(
        answers,
        known(flipped),
        PeopleConfig(),
        forgotten_Q=np.where(old, 0.05, 1.0),
        since_N=(~old).astype(float),
    )
    honest = answers.people.index("honest-0")
    assert kept.mean_P[honest] < 0.75 < 0.85 < forgot.people.mean_P[honest]
    weight = forgot.answerers.weight_Q
    assert weight[:300].max() <= 0.05 + 1e-6
    assert weight[300:].median() > 0.9


def model_and_data(num: int = 200, seed: int = 0):
    """Clips of one step whose first number people like, and an ensemble."""
    rng = np.random.default_rng(seed)
    config = PreferenceModelConfig(
        num_members=3, hidden_sizes=(8,), inputs=("observation",), validation_share=0.1, learning_rate=1e-2
    )
    model = PreferenceModel(config, 3, 1)
    state = model.init(seed)
    feature = torch.from_numpy(rng.normal(size=(num, 2, 1, 3)).astype(np.float32))
    left = feature[:, 0, 0, 0] > feature[:, 1, 0, 0]
    validation = torch.arange(num) % 10 == 0
    weight = torch.poisson(torch.ones(3, num), generator=state.generator) * ~validation
    state.comparisons = Comparisons(feature, (~left).long(), weight, validation)
    return model, state


def test_trap_nobody_is_judged_by_what_learned_from_their_answer() -> None:
    """Margins are the mean of the members whose bootstrap left the comparison out; of validation rows, of all."""
    model, state = model_and_data()
    assert not unseen_margins(model, state, 0).is_fitted
    state, _ = model.fit(state)
    found = unseen_margins(model, state, 200)
    every = model.advantages(state).double().numpy()
    data = state.comparisons
    assert data is not None
    for row in range(200):
        members = [m for m in range(3) if data.weight_MQ[m, row] == 0]
        assert found.is_unseen_Q[row] == bool(members)
        expected = every[members or [0, 1, 2], row].mean()
        assert found.value_Q[row] == pytest.approx(expected)
    fresh = unseen_margins(model, state, 150)
    assert fresh.is_unseen_Q[150:].all()
    assert fresh.value_Q[199] == pytest.approx(every[:, 199].mean())


def test_differences_are_in_spreads() -> None:
    _, state = model_and_data()
    assert differences(state).std(0) == pytest.approx([1, 1, 1])


def test_a_fit_that_knows_who_answers_is_right_though_many_answer_the_wrong_way_round() -> None:
    """Three in ten rows are answered the wrong way round, by half of the people."""
    accuracy = {}
    for knows in (False, True):
        model, state = model_and_data(300)
        data = state.comparisons
        assert data is not None
        right = data.outcome_Q.clone()
        hostile = torch.arange(300) % 10 < 3
        data.outcome_Q[hostile] = 1 - data.outcome_Q[hostile]
        answers = answers_of(
            [
                Comparison(
                    person=f"{'bad' if bad else 'good'}-{row % 3}",
                    left=f"a{row}",
                    right=f"b{row}",
                    choice="left" if outcome == 0 else "right",
                )
                for row, (bad, outcome) in enumerate(zip(hostile.tolist(), data.outcome_Q.tolist(), strict=True))
            ]
        )
        for _ in range(4):
            weighed = weigh(answers, unseen_margins(model, state, 300), PeopleConfig())
            state, _ = model.fit(state, weighed.answerers if knows else None)
        margin = model.advantages(state).mean(0)
        accuracy[knows] = ((margin > 0) == (right == 0)).float().mean().item()
    assert accuracy[True] > 0.95 and accuracy[True] >= accuracy[False] - 0.01


def test_without_people_a_fit_is_what_it_was() -> None:
    """With everybody perfectly honest and of one weight it is the same model, up to rounding."""
    (model, plain), (_, weighed) = model_and_data(), model_and_data()
    ones, num = torch.ones(200), 200
    from heeler.rewards.answerers import Answerers

    honest = Answerers(
        reliability_Q=ones * (1 - 1e-6), lean_Q=torch.zeros(num), looked_Q=ones.clone(), weight_Q=ones.clone()
    )
    rows = torch.arange(32)
    torch.testing.assert_close(honest.share_B(rows, among=torch.ones(num, dtype=torch.bool)), torch.full((32,), 1 / 32))
    data = plain.comparisons
    assert data is not None
    feature = data.feature_Q2LF
    torch.testing.assert_close(
        model._outcome_log_probs(plain, feature),
        model._outcome_log_probs(weighed, feature, honest),
        atol=1e-4,
        rtol=1e-4,
    )


def test_bad_settings_are_named() -> None:
    for settings, name in (
        ({"influence_cap": 0.0}, "influence_cap"),
        ({"suspect_weight": 1.5}, "suspect_weight"),
        ({"num_rounds": 0}, "num_rounds"),
    ):
        with pytest.raises(ConfigError, match=name):
            PeopleConfig(**settings)
    with pytest.raises(ConfigError, match="error_rate"):
        DriftConfig(error_rate=0.0)
    with pytest.raises(ConfigError, match="old_weight"):
        DriftConfig(old_weight=2.0)
