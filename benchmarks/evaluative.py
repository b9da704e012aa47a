"""TAMER and COACH from good and bad of a scripted trainer, who reacts within .2 to 2 seconds, in three small worlds."""

import statistics
import sys
from collections.abc import Mapping, Sequence

from benchmarks.harness import Benchmark, Figures, Job
from benchmarks.plan import KEPT, KeptJobs, PlannedJob, run_plan

JOB = (sys.executable, "-m", "benchmarks.jobs.evaluative")
WORLDS = ("CartPole-v1", "MountainCar-v0", "LavaGrid")
METHODS, DEEP = ("tamer", "coach"), ("deep-tamer", "deep-coach")
BASELINES = ("wrong", "none")
MINUTES = 4.0
"""Of the trainer's time, at most: whoever has not learned by then counts as this."""
QUICK = ("--minutes", "0.25", "--every-s", "15")
Case = tuple[str, str, str]
"""World, method and credit."""


def cases(quick: bool) -> list[Case]:
    """What is measured; deep forms and baselines stand beside it."""
    worlds = WORLDS[2:] if quick else WORLDS
    found = [(world, method, "right") for world in worlds for method in (*METHODS, *DEEP)]
    return found + [(world, method, credit) for world in worlds for method in METHODS for credit in BASELINES]


def measure(seeds: Sequence[int], quick: bool) -> Figures:
    """Five seeds are meant: `--seeds 0 1 2 3 4`."""
    measured, plan = cases(quick), list[PlannedJob]()
    options = QUICK if quick else ("--minutes", str(MINUTES))
    for world, method, credit in measured:
        chosen = ("--env", world, "--method", method, "--credit", credit)
        plan += [
            PlannedJob(
                label=f"{method} in {world}, credit {credit}, seed {seed}",
                command=(*JOB, *chosen, "--seed", str(seed), *options),
                size=2.0 if method.startswith("deep") else 1.0,
            )
            for seed in seeds
        ]
    kept = None if quick else KeptJobs(KEPT / "evaluative.jsonl")
    # Time is the trainer's here, and not the machine's.
    jobs = run_plan("evaluative", plan, kept=kept, at_once=1 if quick else 2)
    number = len(seeds)
    return summarize({case: jobs[place * number : (place + 1) * number] for place, case in enumerate(measured)})


def summarize(jobs: Mapping[Case, Sequence[Job]]) -> Figures:
    """`human_minutes_max`: of the trainer's time until TAMER and COACH had learned, in the slowest run of any world;
    `solved_share` of those runs. `MINUTES` stands for who never had. Beside them the medians of each world and method,
    the deep forms, and both with all credit on the step that is on the screen at a press, or without any press.
    """
    figures: Figures = {}
    minutes: dict[Case, list[float]] = {
        case: [one.printed["human_minutes"] if one.printed["solved"] else MINUTES for one in rows]
        for case, rows in jobs.items()
    }
    solved = {case: [float(one.printed["solved"]) for one in rows] for case, rows in jobs.items()}

    def of(values: Mapping[Case, list[float]], methods: Sequence[str], credit: str) -> list[float]:
        return [value for case, row in values.items() if case[1] in methods and case[2] == credit for value in row]

    figures["human_minutes_max"] = max(of(minutes, METHODS, "right"))
    figures["solved_share"] = statistics.mean(of(solved, METHODS, "right"))
    figures["solved_share_deep"] = statistics.mean(of(solved, DEEP, "right"))
    for credit, name in zip(BASELINES, ("wrong_step", "silent"), strict=True):
        figures[f"solved_share_{name}"] = statistics.mean(of(solved, METHODS, credit))
    for case in jobs:
        if case[2] == "right":
            name = f"{case[1].replace('-', '_')}_{case[0].partition('-')[0].lower()}"
            figures[f"{name}_minutes"] = statistics.median(minutes[case])
            figures[f"{name}_solved"] = statistics.mean(solved[case])
            figures[f"{name}_return"] = statistics.median(one.printed["return"] for one in jobs[case])
    return figures


BENCHMARK = Benchmark(
    name="evaluative",
    about="TAMER and COACH in minutes of a scripted trainer's time",
    targets={"human_minutes_max": "<= 3", "solved_share": "> solved_share_wrong_step"},
    measure=measure,
)
