"""Tells the operator that what people want has changed: a line of the audit log, and an alarm of the console."""

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.loop.acts import Acts
from heeler.loop.preferences import PreferenceLoop

DRIFT = "preferences.drift"
"""The act of the audit log that a change is."""
DRIFTED = "drifted"
"""Setting of a store that says what was told last; the service reads it by this name."""


def tell_changes(preferences: PreferenceLoop, directory: RunDirectory, store: Store, step: int) -> None:
    """Tell of changes that were noticed since it was last called."""
    if preferences.who is None or preferences.who.drifting is None:
        return
    for change in preferences.who.drifting.take_news():
        details = {"step": step, "after_position": change.after_position, "noticed_after": change.noticed_after}
        shares = {"foretold_before": change.before, "foretold_since": change.since}
        Acts(directory).note(DRIFT, **details, **shares, annotator=change.annotator, reason=change.in_words)
        if change.annotator is None:
            store.set_setting(DRIFTED, {"step": step, "reason": change.in_words})
