"""What the benchmark of TAMER and COACH makes of its jobs."""

import pytest
import torch

from benchmarks import evaluative
from benchmarks.harness import Job, holds
from benchmarks.jobs.evaluative import THRESHOLDS, train
from heeler.algorithms.coach import COACHState
from heeler.envs import make
from heeler.loop.evaluative.outcome import play
from heeler.recipes import evaluative as recipe


def job(solved, minutes, value=0.0):
    printed = {"solved": solved, "human_minutes": minutes, "return": value, "signals": 5, "files": []}
    return Job(printed=printed, wall_s=1.0, peak_mb=1.0)


def all_jobs(minutes=2.0, solved=1):
    return {case: [job(solved if case[2] == "right" else 0, minutes)] * 2 for case in evaluative.cases(False)}


def test_every_world_is_learned_by_both_methods_beside_the_deep_forms_and_the_baselines():
    cases = evaluative.cases(False)
    assert len(cases) == len(set(cases)) == 3 * 4 + 3 * 2 * 2
    assert {case[0] for case in cases} == set(THRESHOLDS)
    assert {case[0] for case in evaluative.cases(True)} == {"LavaGrid"}


def test_the_slowest_run_counts():
    jobs = all_jobs()
    jobs["LavaGrid", "coach", "right"] = [job(1, 2.0), job(1, 2.9)]
    figures = evaluative.summarize(jobs)
    assert figures["human_minutes_max"] == 2.9
    assert figures["solved_share"] == 1.0 and figures["solved_share_wrong_step"] == 0.0
    assert figures["coach_lavagrid_minutes"] == pytest.approx(2.45)
    assert holds(evaluative.BENCHMARK.targets, figures)


def test_who_never_learns_misses_the_target():
    jobs = all_jobs()
    jobs["CartPole-v1", "tamer", "right"] = [job(1, 2.0), job(0, 2.0)]
    figures = evaluative.summarize(jobs)
    assert figures["human_minutes_max"] == evaluative.MINUTES
    assert figures["solved_share"] == pytest.approx(11 / 12)
    assert not holds(evaluative.BENCHMARK.targets, figures)


def test_deep_forms_and_baselines_do_not_count_as_the_figure():
    jobs = all_jobs()
    for case in jobs:
        if case[1] in evaluative.DEEP:
            jobs[case] = [job(0, 4.0)]
    figures = evaluative.summarize(jobs)
    assert figures["human_minutes_max"] == 2.0 and figures["solved_share_deep"] == 0.0


def test_credit_on_the_right_step_teaches_a_grid_and_silence_does_not():
    config = recipe(env="LavaGrid", method="tamer", minutes=3.0, seed=1)
    taught = train(config, credit="right", every_s=15.0)
    silent = train(config, credit="none", every_s=15.0)
    assert taught["solved"] == 1 and taught["human_minutes"] <= 3.0 and taught["signals"] > 20
    assert silent["solved"] == 0 and silent["signals"] == 0


@pytest.mark.parametrize("method", ["tamer", "coach"])
def test_late_presses_teach_a_car_to_swing_out_of_its_valley_and_silence_does_not(method):
    config = recipe(env="MountainCar-v0", method=method, minutes=3.0, seed=1)
    taught = train(config, credit="right", every_s=5.0)
    silent = train(config, credit="none", every_s=90.0)
    assert taught["solved"] == 1 and taught["human_minutes"] <= 3.0
    assert silent["solved"] == 0 and silent["return"] == -200.0


@pytest.mark.parametrize("side", [-1.0, -0.4, -0.1])
def test_in_a_cars_features_policies_pass_over_a_wide_range_of_weights(side):
    """Where only a sliver of them does, noisy presses do not find it."""
    config = recipe(env="MountainCar-v0", method="coach", seed=0)
    learner = config.learner(make(config.env, 0))
    right_F = torch.tensor([side, 1.0])
    weight_LF = torch.stack([-right_F, torch.zeros(2), right_F])
    state = COACHState(weight_LF=weight_LF, mean_LF=weight_LF)
    assert play(learner, state, config.env, 200, 3)[0].mean() >= THRESHOLDS["MountainCar-v0"]
