"""Tells the operator that what people want has changed, or that groups of them want different things: a line of the
audit log each, and an alarm of the console."""

from heeler.core.rundir import RunDirectory
from heeler.feedback.store import Store
from heeler.feedback.told import DRIFTED, GROUPED
from heeler.loop.acts import Acts
from heeler.loop.preferences import PreferenceLoop

DRIFT = "preferences.drift"
"""The act of the audit log that a change is."""
GROUPS = "preferences.groups"
"""The act of the audit log that groups are found, or are others now."""


def tell_changes(preferences: PreferenceLoop, directory: RunDirectory, store: Store, step: int) -> None:
    """Tell of changes that were noticed since it was last called."""
    if preferences.who is not None and preferences.who.drifting is not None:
        for change in preferences.who.drifting.take_news():
            details = {"step": step, "after_position": change.after_position, "noticed_after": change.noticed_after}
            shares = {"foretold_before": change.before, "foretold_since": change.since}
            Acts(directory).note(DRIFT, **details, **shares, annotator=change.annotator, reason=change.in_words)
            if change.annotator is None:
                store.set_setting(DRIFTED, {"step": step, "reason": change.in_words})
    if preferences.grouping is not None:
        for found in preferences.grouping.take_news():
            told = {"num_groups": found.num_groups, "sizes": list(found.sizes), "rule": found.rule}
            Acts(directory).note(GROUPS, step=step, **told, reason=found.in_words)
            store.set_setting(GROUPED, {"step": step, "reason": found.in_words})
