"""Who made what is in a store: versions of the policy, which acted, and annotators, who answered."""

from sqlalchemy import Connection, insert, select, update

from heeler.core.errors import ConflictError, DataError
from heeler.core.nouns import PolicyVersion
from heeler.feedback import rows, schema
from heeler.feedback.withdrawal import is_forgotten

_POLICIES, _ANNOTATORS = schema.policy_versions, schema.annotators


def add_policy_version(connection: Connection, policy: PolicyVersion) -> None:
    """Note a policy version; a checkpoint's hash may be given, or given anew, later.

    Raises:
        ConflictError: the same version was made at another step.
    """
    known = connection.execute(select(_POLICIES).where(_POLICIES.c.version == policy.version)).one_or_none()
    if known is None:
        row = {"version": policy.version, "step": policy.step, "checkpoint_sha256": policy.checkpoint_sha256}
        connection.execute(insert(_POLICIES).values(row))
    elif known.step != policy.step:
        raise ConflictError(f"policy version {policy.version} was made at step {known.step}, not {policy.step}")
    elif policy.checkpoint_sha256 is not None:
        # A checkpoint that was made again after a crash replaces the one that was lost.
        change = update(_POLICIES).where(_POLICIES.c.version == policy.version)
        connection.execute(change.values(checkpoint_sha256=policy.checkpoint_sha256))


def policy_versions(connection: Connection) -> list[PolicyVersion]:
    """All policy versions, in order."""
    found = connection.execute(select(_POLICIES).order_by(_POLICIES.c.version)).all()
    return [PolicyVersion(version=r.version, step=r.step, checkpoint_sha256=r.checkpoint_sha256) for r in found]


def add_annotator(connection: Connection, annotator_id: str, kind: str, note: str) -> None:
    """Note who answers; the first note stays.

    Raises:
        ConflictError: the same id is of another kind.
        DataError: the id or the note cannot be kept, or this annotator was forgotten.
    """
    rows.check_fits(_ANNOTATORS, {"id": annotator_id, "note": note})
    if is_forgotten(connection, annotator_id):
        raise DataError("annotator: this one was forgotten, and does not come back; answer under another id")
    known = connection.execute(select(_ANNOTATORS).where(_ANNOTATORS.c.id == annotator_id)).one_or_none()
    if known is None:
        connection.execute(insert(_ANNOTATORS).values(id=annotator_id, kind=kind, note=note))
    elif known.kind != kind:
        raise ConflictError(f"annotator {annotator_id!r} is a {known.kind}, not a {kind}; use another id")
