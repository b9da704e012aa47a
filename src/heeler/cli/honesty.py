"""`heeler honesty`: whether what a run learned is what people said."""

import dataclasses

from heeler.cli.arguments import OK, Json, Run, print_json
from heeler.cli.language_running import refuse_missing_packages


def honesty(
    run: Run,
    *,
    episodes: int = 16,
    steps: int = 300,
    seed: int | None = None,
    shortcut: tuple[str, ...] = (),
    probes: str | None = None,
    json: Json = False,
) -> int:
    """Check that what a run learned is what people said: over-optimisation, shortcuts, what is followed, the unseen.

    Writes honesty.json into the run's directory, and report.html anew with a section of it. Of a language model's run
    it asks the held-out suites.

    Args:
        run: the run's directory, finished or going.
        episodes: that each policy plays in each situation; of a language model, items of each suite.
        steps: most steps of each episode; a language model has no use for them.
        seed: of the episodes; without it those that the run was judged by at its end.
        shortcut: functions of your own, MODULE:NAME or FILE.py:NAME, that say how much of a shortcut each step has.
        probes: a file of your own questions with right answers, by which a language model is probed for sycophancy.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory

    directory = RunDirectory.open(run)
    from heeler.loop.language.config import is_language_config

    if is_language_config(directory.config()):
        refuse_missing_packages()
    from heeler.loop.honesty.examining import Effort
    from heeler.loop.honesty.running import examine_run
    from heeler.loop.honesty.words import table

    found, report = examine_run(run, Effort(num_envs=episodes, num_steps=steps, seed=seed), shortcut, probes)
    if json:
        print_json(dataclasses.asdict(found) | {"report": str(report)})
    else:
        print(f"{table(found)}\n\n{report}")
    return OK
