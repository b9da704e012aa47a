"""Who may do what. Every route names one permission; what is not granted here is denied."""

from collections.abc import Mapping
from enum import StrEnum


class Permission(StrEnum):
    """What a route needs of its caller."""

    PUBLIC = "public"
    """Nothing: whoever reaches the service."""
    SIGNED_IN = "signed_in"
    """To be somebody: one's own account, with a key or a session."""
    SESSION = "session"
    """To have signed in with the password: what a stolen key must not be able to do."""
    ANSWER = "answer"
    """Be asked and answer."""
    CHAT = "chat"
    """Talk to the model that is served, and say what its answers are worth."""
    READ_RUNS = "read_runs"
    """See runs, their metrics and what they learn, true rewards included."""
    READ_FEEDBACK = "read_feedback"
    """See everybody's answers."""
    STEER = "steer"
    """Tell a run to pause, go on, stop, roll back, or take another budget; hold it and let it go; end its process."""
    READ_AUDIT = "read_audit"
    """See who did what."""
    PROMOTE = "promote"
    """Propose a checkpoint for release, and approve what another person has proposed; in a session, not by a key."""
    SETTINGS = "settings"
    """Change how a run asks people."""
    PEOPLE = "people"
    """Add and change people and their keys."""
    CARE = "care"
    """Change the text that people agree to, limits of their work, and pay; see what they worked."""


class Role(StrEnum):
    """What a person is to the service."""

    ANNOTATOR = "annotator"
    OPERATOR = "operator"
    ADMIN = "admin"


_ANNOTATOR = frozenset({Permission.SIGNED_IN, Permission.SESSION, Permission.ANSWER, Permission.CHAT})
_OPERATOR = _ANNOTATOR | {Permission.READ_RUNS, Permission.READ_FEEDBACK, Permission.STEER}
_OPERATOR |= {Permission.READ_AUDIT, Permission.PROMOTE}

ROLES: Mapping[Role, frozenset[Permission]] = {
    Role.ANNOTATOR: _ANNOTATOR,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Permission.SETTINGS, Permission.PEOPLE, Permission.CARE},
}

SCOPES: tuple[Permission, ...] = (
    Permission.ANSWER,
    Permission.CHAT,
    Permission.READ_RUNS,
    Permission.READ_FEEDBACK,
    Permission.STEER,
    Permission.READ_AUDIT,
    Permission.SETTINGS,
    Permission.PEOPLE,
    Permission.CARE,
)
"""What a key may be made for. Not to promote: who makes keys could make one for another person, and so be two."""


def of_session(role: Role, *, must_change_password: bool) -> frozenset[Permission]:
    """What somebody may do who signed in; before the one-time password is changed, only that."""
    own = frozenset({Permission.SIGNED_IN, Permission.SESSION})
    return ROLES[role] & own if must_change_password else ROLES[role]


def of_key(role: Role, scopes: frozenset[Permission]) -> frozenset[Permission]:
    """What a key may do: what it was made for, as far as its person may still do it."""
    return ROLES[role] & (scopes & frozenset(SCOPES) | {Permission.SIGNED_IN})
