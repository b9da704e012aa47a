"""Why a gate decided as it did, in plain words."""

from collections.abc import Sequence

from heeler.oversight.gate_config import Check, GateConfig
from heeler.oversight.gate_nouns import CheckResult


def reasons_to_release(config: GateConfig, checks: Sequence[CheckResult]) -> tuple[str, ...]:
    """Where it is better; that it is worse nowhere goes without saying more than once."""
    better = [f"{seen.suite}: better, {_figures(seen)}" for seen in checks if seen.is_better]
    margins = ", ".join(f"{check.suite} {check.margin:g}" for check in config.checks)
    return (*better, f"worse by the margin or more on no suite (margins: {margins})")


def reasons_to_keep(config: GateConfig, checks: Sequence[CheckResult]) -> tuple[str, ...]:
    """Everything that it failed to show, the worst first."""
    pairs = list(zip(config.checks, checks, strict=True))
    worse = [_is_worse(check, seen) for check, seen in pairs if seen.is_worse]
    unshown = [_is_unshown(check, seen) for check, seen in pairs if not seen.is_worse and not seen.is_not_worse]
    goals = ", ".join(check.suite for check in config.checks if check.is_goal)
    no_gain = [] if any(seen.is_better for seen in checks) else [f"not shown to be better on any goal ({goals})"]
    return (*worse, *unshown, *no_gain)


def _is_worse(check: Check, seen: CheckResult) -> str:
    return f"{check.suite}: worse by more than {check.margin:g}, {_figures(seen)}"


def _is_unshown(check: Check, seen: CheckResult) -> str:
    return f"{check.suite}: not shown to be within {check.margin:g} of the version in use, {_figures(seen)}"


def _figures(seen: CheckResult) -> str:
    if seen.candidate_mean is None or seen.current_mean is None or seen.gain is None:
        return f"as no item could be compared ({seen.num_left_out} were left out)"
    return (
        f"{seen.current_mean:.3g} in use, {seen.candidate_mean:.3g} candidate "
        f"(gain {seen.gain:+.3g}, interval {seen.gain_low:+.3g} to {seen.gain_high:+.3g}, {seen.num_pairs} items)"
    )
