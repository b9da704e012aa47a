"""`heeler releases`: which checkpoints of a run were proposed, approved and withdrawn."""

from heeler.cli.arguments import OK, Json, Run, print_json


def releases(run: Run, *, json: Json = False) -> int:
    """List a run's releases, the newest proposal first: state, step, who proposed and who approved.

    They are made on the operator's page, by two people; nothing is changed here.

    Args:
        run: the run's directory.
        json: print the result as JSON.
    """
    from heeler.core.releases import Releases, newest_approved, state_of
    from heeler.core.rundir import RunDirectory

    found = Releases(RunDirectory.open(run)).all()
    in_use = newest_approved(found)
    if json:
        shown = [{"state": state_of(release, in_use), **vars(release)} for release in found]
        print_json({"run": str(run), "releases": shown})
    elif not found:
        print(f"{run}: no release was proposed yet")
    for release in () if json else found:
        approved = "" if release.approved_by is None else f", approved by {release.approved_by}"
        withdrawn = "" if release.withdrawn_by is None else f", withdrawn by {release.withdrawn_by}"
        by = f"proposed by {release.proposed_by}{approved}{withdrawn}"
        print(f"{state_of(release, in_use):<10}step {release.step:>12,}  {release.id}  {by}")
    return OK
