"""`heeler people`: who is known to a folder of runs, and how somebody is forgotten."""

from collections.abc import Generator, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from heeler.cli.arguments import OK, Json, Run, print_json, sub_command
from heeler.core.errors import ConfigError

if TYPE_CHECKING:
    from heeler.core.rundir import RunDirectory
    from heeler.feedback.annotators.known import Known
    from heeler.feedback.annotators.labels import KnownLabels
    from heeler.service.accounts.accounts import Accounts
    from heeler.service.forgetting import OpenStore

PersonId = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ID", help="of the person, as `list` shows it")]
BY = "command-line"
"""Who stands in the audit log for whoever sits at this machine."""


def people(arguments: Sequence[str]) -> int:
    """List people, say whom to trust and who disagrees, or forget one: list, trust RUN, groups RUN, forget ID."""
    commands = {"list": list_, "trust": trust, "groups": groups, "forget": forget}
    return sub_command("people", commands, arguments, about=people.__doc__ or "")


def list_(*, runs: Path = Path("runs"), json: Json = False) -> int:
    """List everybody who may sign in, with their ids.

    Args:
        runs: the folder of runs.
        json: print the result as JSON.
    """
    accounts = _accounts(runs)
    try:
        found = accounts.people.page(after="", limit=1_000_000)
        leaving = accounts.forgettings.waiting()
    finally:
        accounts.close()
    if json:
        print_json({"people": [{"id": p.id, "name": p.name, "kind": p.kind, "role": p.role.value} for p in found]})
        return OK
    for person in found:
        state = "being forgotten" if person.id in leaving else "disabled" if person.disabled_unix_s else ""
        print("  ".join(filter(None, (person.id, f"{person.role.value:<9}", person.name, state))))
    return OK


def trust(run: Run, /, *, out: Path | None = None, json: Json = False) -> int:
    """Say what is known of everybody who compared or labelled anything in a run, those to look at first.

    Args:
        run: the run's directory.
        out: a file to write it to, too, as JSON; it names people, and forgetting them does not reach it.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory, write_atomically
    from heeler.feedback.annotators.known import NothingCompared, known_in_run
    from heeler.feedback.annotators.labels import known_labels_in_run
    from heeler.feedback.stores import has_store, open_store

    directory = RunDirectory.open(run)
    if not has_store(directory):
        raise ConfigError(f"{run} has no store yet, so nobody has answered in it")
    with open_store(directory) as store:
        labels = known_labels_in_run(store, directory)
        try:
            known = known_in_run(store, directory)
        except NothingCompared:
            if not labels:
                raise
            known = None
    told = _told_of_people(known) | {"labels": [asdict(one) for one in labels]}
    if out is not None:
        write_atomically(out, (dumps(told, indent=2) + "\n").encode())
    if json:
        print_json(told)
        return OK
    print("\n".join([*_in_words(known), *_labels_in_words(labels)]))
    return OK


def _told_of_people(known: "Known | None") -> dict[str, Any]:
    """What is known by comparisons; None where nobody compared anything."""
    if known is None:
        return {"told_by": "nothing", "num_answers": 0, "too_fast_s": 0.0, "changed_after": [], "people": []}
    people = [
        {"id": one.annotator, "kind": one.kind, "weight": one.weight, "with_others": list(one.with_others)}
        | {name: value for name, value in vars(one.judgement).items() if name not in ("person", "with_others")}
        for one in known.people
    ]
    return {
        "told_by": known.told_by,
        "num_answers": known.num_answers,
        "too_fast_s": known.tau_s,
        "changed_after": list(known.changed_after),
        "people": people,
    }


def _in_words(known: "Known | None") -> Generator[str]:
    if known is None:
        return
    yield f"{known.num_answers:,} answers by {len(known.people)} people, held against the {known.told_by}."
    for position in known.changed_after:
        yield f"What people want was found to have changed after answer {position:,}."
    for one in known.people:
        judged = one.judgement
        span = f"{judged.reliability:.0%} ({judged.low:.0%} to {judged.high:.0%})"
        yield f"{one.annotator}  {judged.verdict:<9}  reliability {span}  weight {one.weight:.1%}  {judged.reason}"


def _labels_in_words(labels: "Sequence[KnownLabels]") -> Generator[str]:
    for known in labels:
        yield (
            f"{known.num_labels:,} answers of kind {known.kind} by {len(known.people)} people, held against one "
            f"another on {known.num_shared:,} questions that two or more answered or that are gold."
        )
        for one in known.people:
            span = f"{one.right:.0%} ({one.low:.0%} to {one.high:.0%})"
            yield f"{one.annotator}  {one.verdict:<9}  right {span}  {one.num_labels:,} labels  {one.reason}"


def groups(run: Run, /, *, json: Json = False) -> int:
    """Say which groups of people want different things, what each gets, and how far they agree; of few people nothing.

    Args:
        run: the run's directory.
        json: print the result as JSON.
    """
    from heeler.core.rundir import RunDirectory
    from heeler.feedback.stores import has_store, open_store
    from heeler.loop.config import from_dict
    from heeler.loop.groups_told import groups_told
    from heeler.loop.report_groups import groups_in_words

    directory = RunDirectory.open(run)
    config = from_dict(directory.config())
    if config.preferences is None or config.preferences.groups is None:
        raise ConfigError(f"{run} looks for no groups: preferences.groups is not set; start a run with it")
    if not has_store(directory):
        raise ConfigError(f"{run} has no store yet, so nobody has answered in it")
    with open_store(directory) as store:
        told = groups_told(store, directory.path, config.preferences.groups, directory.metrics())
    if json:
        print_json({"groups": None} if told is None else told.to_dict())
        return OK
    print("\n".join(groups_in_words(told)))
    return OK


def forget(id: PersonId, *, answers: str, runs: Path = Path("runs"), json: Json = False) -> int:
    """Forget a person for good, while the service and learners go on; if it is stopped on the way, do it again.

    Name, address, keys, consents, time and pay are removed. Backups that were made before are not touched.

    Args:
        id: of the person.
        answers: keep them under a pseudonym that leads nowhere, or remove them; reward models are then stale.
        runs: the folder of runs.
        json: print the result as JSON.
    """
    from heeler.core.audit import AUDIT_NAME, AuditLog
    from heeler.service.forgetting import forget as forget_person

    accounts = _accounts(runs)
    try:
        audit = AuditLog(runs / AUDIT_NAME)
        done = forget_person(accounts, _runs(runs), audit, by=BY, person_id=id, answers=answers)
    except KeyError:
        raise ConfigError(
            f"there is nobody with the id {id!r:.80} in {runs}; heeler people list shows who is"
        ) from None
    finally:
        accounts.close()
    if json:
        print_json({"id": id, **vars(done)})
        return OK
    fate = "are kept under a name that leads nowhere" if done.answers == "keep" else "were removed"
    print(f"Forgotten. {done.num_answers:,} answers in {done.num_runs:,} runs {fate}.")
    return OK


def _accounts(runs: Path) -> "Accounts":
    from heeler.core.audit import AUDIT_NAME, AuditLog
    from heeler.service.accounts.accounts import Accounts
    from heeler.service.accounts.database import FILE_NAME

    path = runs / FILE_NAME
    if not path.is_file():
        raise ConfigError(f"nobody is known in {runs}: there is no {FILE_NAME}; name the folder that is served")
    return Accounts(path, AuditLog(runs / AUDIT_NAME), session_idle_s=1.0, session_s=1.0)


def _runs(runs: Path) -> Generator[tuple["RunDirectory", "OpenStore | None"]]:
    from heeler.core.rundir import RunDirectory
    from heeler.feedback.stores import has_store, open_store

    for path in sorted(entry for entry in runs.iterdir() if (entry / "config.yaml").is_file()):
        directory = RunDirectory.open(path)
        yield directory, (lambda directory=directory: open_store(directory)) if has_store(directory) else None
