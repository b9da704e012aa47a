"""An agent learns from good and bad of a scripted trainer, until it has solved its world or the time is over.

Time is the trainer's: what was shown, at the pace at which it was shown. Every few seconds of it the policy plays
episodes that nobody sees; once they pass twice, training ends, as it does with people who are content. It is solved if
other episodes pass too. Solved: by Gymnasium's thresholds, a mean return of 475 in CartPole-v1 and of -110 in
MountainCar-v0; in the grid, the shortest way.

`--credit wrong` gives all credit to the step that is on the screen when a button is pressed; `--credit none` lets
nobody press any.
Prints {"solved": 0 or 1, "human_minutes": until it was, or all of them, "return": of the other episodes, "signals",
"files"}.
"""

import argparse
import json

import torch

from benchmarks.jobs.training import loaded_sources
from heeler.algorithms.delay import DelayConfig
from heeler.envs import make
from heeler.feedback.judges import judge_of
from heeler.feedback.trainers import ScriptedTrainer
from heeler.loop.evaluative.config import EvaluativeRunConfig
from heeler.loop.evaluative.outcome import play
from heeler.loop.evaluative.session import Session
from heeler.recipes import evaluative

THRESHOLDS = {"CartPole-v1": 475.0, "MountainCar-v0": -110.0, "LavaGrid": 0.7 - 1e-6}
NUM_EPISODES, LOOKS = 100, 2
CREDITS = ("right", "wrong", "none")


def main() -> None:
    """Train, play, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=tuple(THRESHOLDS), required=True)
    parser.add_argument("--method", choices=("tamer", "deep-tamer", "coach", "deep-coach"), required=True)
    parser.add_argument("--credit", choices=CREDITS, default="right")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--every-s", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    config = evaluative(env=arguments.env, method=arguments.method, minutes=arguments.minutes, seed=arguments.seed)
    printed = train(config, credit=arguments.credit, every_s=arguments.every_s)
    print(json.dumps(printed | {"files": loaded_sources()}))


def train(config: EvaluativeRunConfig, *, credit: str, every_s: float) -> dict[str, float]:
    """Train until it is solved, or to the end of the time.

    Args:
        config: of the run; its teacher must be scripted.
        credit: one of `CREDITS`.
        every_s: seconds of the trainer's time between two looks at whether it is solved.
    """
    assert config.teacher != "people"
    world = make(config.env, config.seed)
    delay = DelayConfig(low_s=0.0, high_s=config.step_s) if credit == "wrong" else config.delay
    timing = {"step_s": config.step_s, "hold_steps": config.hold_steps}
    session = Session(world, config.learner(world), delay, seed=config.seed, **timing)
    trainer, judge = ScriptedTrainer(config.teacher, config.seed, "trainer"), judge_of(config.env)
    num_signals = num_passed = 0
    look = max(1, round(every_s * config.steps_per_second))
    for number in range(config.total_steps):
        step = session.act()
        start_s = number * config.step_s
        value_L = judge.values(step.observation[None])[0]
        trainer.watch(start_s, start_s + config.step_s, value_L, int(step.executed[0]), step.probability)
        for signal in trainer.ready(session.time_s):
            num_signals += credit != "none" and session.hear(signal) is not None
        if (number + 1) % config.num_steps == 0:
            session.rehearse()
        if (number + 1) % look:
            continue
        # Who has been content twice goes on no more; whether they were right to be is seen in other episodes, once.
        passed = _mean(session, config, 40_000 + number) >= THRESHOLDS[config.env.id]
        num_passed = num_passed + 1 if passed else 0
        if num_passed == LOOKS:
            break
    found = _mean(session, config, 20_000)
    return {
        "solved": int(found >= THRESHOLDS[config.env.id]),
        "human_minutes": session.time_s / 60,
        "return": found,
        "signals": num_signals,
    }


def _mean(session: Session, config: EvaluativeRunConfig, seed: int) -> float:
    """Mean return of episodes that nobody sees."""
    return float(play(session.learner, session.state, config.env, NUM_EPISODES, seed + config.seed)[0].mean())


if __name__ == "__main__":
    main()
