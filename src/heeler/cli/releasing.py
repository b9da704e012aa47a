"""`heeler releases` and what is done with releases here: gate one, act by it, take it back, tell what it is."""

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from heeler.cli.arguments import OK, Json, Run, print_json
from heeler.core.errors import ConfigError, RunError

if TYPE_CHECKING:
    from heeler.core.releases import Release
    from heeler.loop.config import RunConfig
    from heeler.oversight.control_gate_config import ControlGateConfig

Named = Annotated[
    str | None,
    tyro.conf.arg(metavar="RELEASE", help="its step, its id or how that begins; without it the one in use"),
]
NamedNumbers = Annotated[
    tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]], tyro.conf.arg(metavar="NAME=NUMBER ...")
]
OPERATOR = "operator"
"""Who proposes a release, or takes one back, on the command line."""


def releases(run: Run, *, answer: str | None = None, json: Json = False) -> int:
    """List a run's releases, the newest proposal first: state, step, who proposed and who approved.

    They are made by the run's gate or on the operator's page, by two people; nothing is changed here.

    Args:
        run: the run's directory.
        answer: key of an answer; only releases that learned from it are listed.
        json: print the result as JSON.
    """
    from heeler.core.releases import Releases, newest_approved, state_of
    from heeler.core.rundir import RunDirectory

    found = Releases(RunDirectory.open(run)).all()
    in_use = newest_approved(found)
    if answer is not None:
        from heeler.loop.lineage import releases_with

        found = releases_with(RunDirectory.open(run), answer)
    if json:
        shown = [{"state": state_of(release, in_use), **vars(release)} for release in found]
        print_json({"run": str(run), "releases": shown})
    elif not found:
        print(f"{run}: no release {'was proposed yet' if answer is None else 'learned from that answer'}")
    for release in () if json else found:
        approved = "" if release.approved_by is None else f", approved by {release.approved_by}"
        withdrawn = "" if release.withdrawn_by is None else f", withdrawn by {release.withdrawn_by}"
        by = f"proposed by {release.proposed_by}{approved}{withdrawn}"
        print(f"{state_of(release, in_use):<10}step {release.step:>12,}  {release.id}  {by}")
    return OK


def release(
    run: Run,
    *,
    step: int | None = None,
    margin: float | None = None,
    episodes: int | None = None,
    budget: NamedNumbers = (),
    max_cost: NamedNumbers = (),
    return_range: tuple[float, float] | None = None,
    json: Json = False,
) -> int:
    """Put a checkpoint of a run in a world through the gate, and propose it for release.

    What is not given is as in the run's own gate, if it has one. A candidate that the gate keeps back is kept with the
    reasons.

    Args:
        run: the run's directory.
        step: of the checkpoint; without it the newest.
        margin: by how much the return may be lower than that of the policy in use.
        episodes: fresh ones of each.
        budget: of a cost; may be given again.
        max_cost: the most that an episode can cost, inf where nobody can say; may be given again.
        return_range: lowest and highest return that an episode can have.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory
    from heeler.loop.acts import Acts
    from heeler.loop.config import from_dict
    from heeler.loop.control_gating import offer_checkpoint
    from heeler.loop.reading import newest_sound_checkpoint

    directory = RunDirectory.open(run)
    config = from_dict(directory.config())
    given = {"margin": margin, "num_episodes": episodes, "return_range": return_range}
    gate = _gate(config, given, _named_numbers("--budget", budget), _named_numbers("--max-cost", max_cost))
    wanted = newest_sound_checkpoint(directory).step if step is None else step
    made, record = offer_checkpoint(directory, config, gate, wanted, Acts(directory), person=OPERATOR)
    if record is None:
        raise RunError(f"the checkpoint of step {wanted:,} was offered already, as release {made.id}")
    if json:
        told = {"passed": record.passed, "reasons": list(record.reasons), "shown": record.details["shown"]}
        print_json({"run": str(run), "release": made.id, "step": made.step, "approved_by": made.approved_by, **told})
        return OK
    state = "kept back" if not record.passed else "proposed" if made.approved_by is None else "in use"
    print(f"{state}: step {made.step:,}, release {made.id}")
    print("\n".join(f"  {reason}" for reason in record.reasons))
    return OK


def rollback(run: Run, *, release: Named = None, json: Json = False) -> int:
    """Take a release back; the one before it is in use again, from the next step or answer on.

    Args:
        run: the run's directory.
        release: which; without it the one in use.
        json: print the result as JSON.
    """
    from heeler.core.audit import AUDIT_NAME, AuditLog
    from heeler.core.releases import Releases
    from heeler.core.rundir import RunDirectory

    directory = RunDirectory.open(run)
    every, log = Releases(directory), AuditLog(directory.path / AUDIT_NAME)
    chosen = _chosen(every.all(), run, release, withdrawn=False)

    def note() -> object:
        told = {"release": chosen.id, "step": chosen.step}
        return log.append(OPERATOR, "release.withdraw", directory.path.absolute().name, **told)

    every.withdraw(chosen.id, OPERATOR, before_commit=note)
    after = every.in_use()
    if json:
        print_json({"run": str(run), "withdrawn": chosen.id, "in_use": None if after is None else after.id})
        return OK
    now = "no release is in use now" if after is None else f"in use now: step {after.step:,}, release {after.id}"
    print(f"withdrawn: step {chosen.step:,}, release {chosen.id}\n{now}")
    return OK


def deploy(
    run: Run,
    *,
    episodes: int = 100,
    envs: int = 8,
    share: float = 0.1,
    trial: int = 100,
    seed: int = 0,
    json: Json = False,
) -> int:
    """Act in a run's world by the release in use, try a candidate in a share of the episodes, take back what does harm.

    Args:
        run: the run's directory.
        episodes: how many, of all environments together.
        envs: environments side by side.
        share: of episodes that a candidate acts in.
        trial: episodes of a candidate without harm, after which it is in use.
        seed: of the world.
        json: print the result as JSON.
    """
    from dataclasses import asdict

    from heeler.loop.deploying import deploy as act
    from heeler.oversight.harm import LiveConfig

    def tell(words: str) -> None:
        if not json:
            print(words, flush=True)

    live = LiveConfig(share=share, num_episodes=trial)
    done = act(run, num_episodes=episodes, num_envs=envs, config=live, seed=seed, on_change=tell)
    if json:
        print_json({"run": str(run), **asdict(done)})
    else:
        print(f"{done.num_episodes:,} episodes, mean return {done.return_mean:.4g}; in use: {done.in_use or 'nothing'}")
        for name, num in done.counted.items():
            print(f"{name.replace('_', ' ')}: {num:,}")
    return OK


def explain(run: Run, *, release: Named = None, out: Path | None = None, json: Json = False) -> int:
    """Write the card of a release: what it learned from and whom, how it was tested, what it goes by, its limits.

    Args:
        run: the run's directory.
        release: which; without it the one in use.
        out: the folder to write to; without it the folder cards of the run.
        json: print the card as JSON, beside the files.
    """
    from heeler.core.releases import Releases
    from heeler.core.rundir import RunDirectory
    from heeler.loop.release_card import write_card

    directory = RunDirectory.open(run)
    chosen = _chosen(Releases(directory).all(), run, release, withdrawn=True)
    card, files = write_card(directory, chosen.id, out or run / "cards")
    if json:
        print_json({"files": [str(path) for path in files], **card.to_dict()})
    else:
        print("\n".join(map(str, files)))
    return OK


def _chosen(found: "list[Release]", run: Path, name: str | None, *, withdrawn: bool) -> "Release":
    """The release that is meant."""
    from heeler.core.releases import newest_approved
    from heeler.loop.released import release_named

    if name is not None:
        return release_named(name, found, run, withdrawn=withdrawn)
    in_use = newest_approved(found)
    if in_use is None:
        what = "has no releases yet" if not found else "has no release in use; name one that `heeler releases` lists"
        raise RunError(f"{run} {what}")
    return in_use


def _named_numbers(flag: str, given: NamedNumbers) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for one in chain.from_iterable(given):
        name, _, number = one.partition("=")
        if name in numbers:
            raise ConfigError(f"{flag} names {name!r} twice; leave one out")
        try:
            numbers[name] = float(number)
        except ValueError:
            raise ConfigError(f"{flag} must be NAME=NUMBER, got {one!r}") from None
    return numbers


def _gate(
    config: "RunConfig", given: dict[str, Any], budgets: dict[str, float], max_costs: dict[str, float]
) -> "ControlGateConfig":
    from heeler.oversight.control_gate_config import ControlGateConfig

    own = config.gate
    if own is None and given["margin"] is None:
        raise ConfigError("this run has no gate of its own: give --margin, by how much the return may be lower")
    changes = {name: value for name, value in given.items() if value is not None}
    if own is None:
        return ControlGateConfig(**changes, budgets=budgets, max_costs=max_costs)
    merged = {"budgets": own.budgets | budgets, "max_costs": own.max_costs | max_costs}
    return replace(own, **changes, **merged)
