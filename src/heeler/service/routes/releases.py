"""Releases of a run: proposed by one person, approved by another, taken back by anybody who may steer."""

from collections.abc import Callable

from fastapi import Request

from heeler.core.audit import AUDIT_NAME
from heeler.core.audit_entry import GENESIS
from heeler.core.audit_file import read_head
from heeler.core.releases import Release, Releases, newest_approved, state_of
from heeler.service.bodies import Page
from heeler.service.bodies_operate import ReleaseBody, ReleaseOut
from heeler.service.context import Service, caller_of, service_of
from heeler.service.permissions import ROLES, Permission
from heeler.service.problems import Problem, unknown
from heeler.service.routes.table import Entry


def list_releases(request: Request, run: str) -> Page[ReleaseOut]:
    """Releases, the newest proposal first."""
    found = Releases(service_of(request).runs.directory(run)).all()
    in_use = newest_approved(found)
    return Page(items=[_out(release, in_use) for release in found], next=None)


def propose(request: Request, run: str, body: ReleaseBody) -> ReleaseOut:
    """Propose a checkpoint, once for each id; it is kept from now on, whatever the learner does with its own."""
    service, person = service_of(request), caller_of(request).person.id
    directory = service.runs.directory(run)
    head = read_head(directory.path / AUDIT_NAME)
    note = _note(service, person, "release.propose", run, release=body.id, step=body.step)
    releases = Releases(directory)
    return _shown(
        releases,
        releases.propose(
            body.id, body.step, person, audit_head=GENESIS if head is None else head.sha256, before_commit=note
        ),
    )


def approve(request: Request, run: str, release_id: str) -> ReleaseOut:
    """Put what another person proposed into use."""
    service, person = service_of(request), caller_of(request).person.id
    releases = Releases(service.runs.directory(run))
    release = _release(releases, release_id)
    if release.proposed_by == person:
        raise Problem(403, "person: who proposed a release cannot approve it; another person has to", field="person")
    _refuse_former(service, release)
    note = _note(service, person, "release.approve", run, release=release_id, step=release.step)
    return _shown(releases, releases.approve(release_id, person, before_commit=note))


def withdraw(request: Request, run: str, release_id: str) -> ReleaseOut:
    """Take a proposal or a release back; one person is enough."""
    service, person = service_of(request), caller_of(request).person.id
    releases = Releases(service.runs.directory(run))
    release = _release(releases, release_id)
    note = _note(service, person, "release.withdraw", run, release=release_id, step=release.step)
    return _shown(releases, releases.withdraw(release_id, person, before_commit=note))


def _refuse_former(service: Service, release: Release) -> None:
    """Who proposed must still be somebody who may."""
    try:
        proposer = service.accounts.people.get(release.proposed_by)
    except KeyError:
        proposer = None
    may = proposer is not None and proposer.disabled_unix_s is None and Permission.PROMOTE in ROLES[proposer.role]
    if not may:
        raise Problem(
            409, "release: who proposed it may not do so any more; withdraw it and propose anew", field="release"
        )


def _note(service: Service, person: str, act: str, run: str, **details: object) -> Callable[[], object]:
    return lambda: service.audit.append(person, act, run, **details)


def _release(releases: Releases, release_id: str) -> Release:
    found = next((release for release in releases.all() if release.id == release_id), None)
    if found is None:
        raise unknown("release", release_id, "release_id")
    return found


def _shown(releases: Releases, release: Release) -> ReleaseOut:
    return _out(release, releases.in_use())


def _out(release: Release, in_use: Release | None) -> ReleaseOut:
    return ReleaseOut.model_validate({"state": state_of(release, in_use), **vars(release)})


_PATH, _PROMOTE = "/runs/{run}/releases", Permission.PROMOTE
_ONE = f"{_PATH}/{{release_id}}"
ROUTES = (
    Entry(method="GET", path=_PATH, permission=Permission.READ_RUNS, endpoint=list_releases, answer=Page[ReleaseOut]),
    Entry(method="POST", path=_PATH, permission=_PROMOTE, endpoint=propose, answer=ReleaseOut),
    Entry(method="POST", path=f"{_ONE}/approve", permission=_PROMOTE, endpoint=approve, answer=ReleaseOut),
    Entry(method="POST", path=f"{_ONE}/withdraw", permission=Permission.STEER, endpoint=withdraw, answer=ReleaseOut),
)
