"""`heeler demonstrate`: a run's policy shows how it is done, in a file that others learn from."""

from pathlib import Path

from heeler.cli.arguments import OK, Json, Run, print_json
from heeler.core.errors import ConfigError


def demonstrate(
    run: Run,
    *,
    output: Path,
    episodes: int = 10,
    seed: int | None = None,
    sample: bool = False,
    least_return: float | None = None,
    json: Json = False,
) -> int:
    """Record episodes of a run's newest policy as demonstrations.

    Args:
        run: the run's directory; nothing in it is changed.
        output: the file to write, whose name ends in .npz.
        episodes: how many to play.
        seed: of the episodes; without it those that the run was judged by at its end.
        sample: act as while it learned, instead of by the likeliest action.
        least_return: leave out episodes of less true return.
        json: print the result as JSON.
    """
    if output.suffix != ".npz":
        raise ConfigError(f"--output must be a file whose name ends in .npz, got {output}")
    from heeler.feedback.episodes import save_npz
    from heeler.loop.demonstrating import demonstrate_run
    from heeler.loop.words import number

    shown = demonstrate_run(run, num_episodes=episodes, seed=seed, sample=sample, least_return=least_return)
    save_npz(output, shown)
    returns = shown.returns
    assert returns is not None
    if json:
        told = {"demonstrations": str(output), "env": shown.env_id, "episodes": len(shown), "steps": shown.num_steps}
        print_json(told | {"return_mean": float(returns.mean())})
    else:
        print(f"{len(shown)} episodes of {shown.env_id}, mean true return {number(float(returns.mean()))}: {output}")
    return OK
