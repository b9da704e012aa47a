"""Advantages within groups, against plain loops."""

import statistics

import pytest
import torch

from heeler.ops.group_advantages import groups, grpo_advantages, rloo_advantages

PROMPT = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
REWARD = torch.tensor([1.0, 0.0, 0.5, 3.0, 3.0, -1.0, 0.0, 9.0, 4.0, 7.0], dtype=torch.float64)
SCORED = torch.tensor([True] * 8 + [False, True])


def by_prompt():
    """(place, rewards of the others, all rewards) of each completion that has a reward."""
    for i in range(len(REWARD)):
        if SCORED[i]:
            mine = [j for j in range(len(REWARD)) if PROMPT[j] == PROMPT[i] and SCORED[j]]
            yield i, [float(REWARD[j]) for j in mine if j != i], [float(REWARD[j]) for j in mine]


def test_trap_rloo_baseline_excludes_the_completion_itself():
    advantage = rloo_advantages(REWARD, SCORED, PROMPT, 4)
    for i, others, _ in by_prompt():
        want = float(REWARD[i]) - statistics.fmean(others) if others else 0.0
        assert advantage[i].item() == pytest.approx(want)
    # What it got itself moves it one for one.
    more = REWARD.clone()
    more[0] += 1
    assert rloo_advantages(more, SCORED, PROMPT, 4)[0].item() == pytest.approx(advantage[0].item() + 1)


def test_grpo_against_a_loop():
    advantage = grpo_advantages(REWARD, SCORED, PROMPT, 4)
    plain = grpo_advantages(REWARD, SCORED, PROMPT, 4, scale_by_group=False)
    by_batch = grpo_advantages(REWARD, SCORED, PROMPT, 4, spread=torch.tensor(2.0))
    for i, others, everyone in by_prompt():
        deviation = float(REWARD[i]) - statistics.fmean(everyone)
        std = statistics.stdev(everyone) if others else 0.0
        assert plain[i].item() == pytest.approx(deviation)
        assert advantage[i].item() == pytest.approx(deviation / (std + 1e-4))
        assert by_batch[i].item() == pytest.approx(deviation / 2.0001)


def test_trap_rewards_that_are_none_are_left_out_of_the_baseline():
    """Whatever stands in the place of a missing reward, even no number at all."""
    without = torch.ones(9, dtype=torch.bool)
    for filling in (0.0, 1e9, torch.nan):
        reward = REWARD.clone()
        reward[8] = filling
        for advantages in (rloo_advantages, grpo_advantages):
            got = advantages(reward, SCORED, PROMPT, 4)
            kept = torch.cat([got[:8], got[9:]])
            want = advantages(REWARD[SCORED], without, PROMPT[SCORED], 4)
            torch.testing.assert_close(kept, want)
            assert got[8] == 0


def test_groups_count_and_spread():
    group = groups(REWARD, SCORED, PROMPT, 4)
    assert group.count_P.tolist() == [3, 2, 3, 1]
    assert group.std_P[1] == 0 and group.std_P[3] == 0
    assert group.is_same_P.tolist() == [False, True, False, True]
    assert group.std_P[0].item() == pytest.approx(statistics.stdev([1.0, 0.0, 0.5]))


def test_a_prompt_with_one_reward_teaches_nothing():
    assert rloo_advantages(REWARD, SCORED, PROMPT, 4)[9] == 0
    assert grpo_advantages(REWARD, SCORED, PROMPT, 4)[9] == 0


def test_same_rewards_give_exactly_nothing():
    """A rest of rounding divided by a spread of rounding would be a large advantage from nowhere."""
    reward = torch.full((7,), 0.1)
    same, scored = torch.zeros(7, dtype=torch.int64), torch.ones(7, dtype=torch.bool)
    assert (grpo_advantages(reward, scored, same, 1) == 0).all()
    assert (rloo_advantages(reward, scored, same, 1) == 0).all()
    assert groups(reward, scored, same, 1).is_same_P.all()
