"""What is known of a released version of a language model from what its chats have left in the store.

It is a function of the store alone: whoever serves the run anew reads it again from the beginning.
"""

from collections.abc import Callable, Sequence

from heeler.core.gate_records import GateRecord
from heeler.core.releases import Release
from heeler.core.verdict import Verdict
from heeler.feedback.completions import Completions
from heeler.loop.deployment_evidence import Kind
from heeler.oversight.chat_harm import MEASURES, ChatLiveConfig, Measure, ShareTest, verdict_of

_PAGE = 5000
_Page = Callable[[int, int, int], Sequence[tuple[int, bool]]]
"""(version, number after which, how many at most) -> number of each answer, and whether it did harm."""


class ChatEvidence:
    """The answers of one release so far.

    Args:
        kind: of a candidate, beside the version in use; or of the release in use by itself.
        release: that is followed.
        config: how.
        completions: of the run's store.
        beside: the release in use, of a candidate; None for the model before any.
    """

    def __init__(
        self,
        kind: Kind,
        release: Release,
        config: ChatLiveConfig,
        completions: Completions,
        beside: Release | None = None,
    ) -> None:
        assert release.policy_version is not None
        self.kind: Kind = kind
        self.release, self.beside, self.config = release, beside, config
        self._versions = [release.policy_version]
        """That of the release, and after it that which it is compared with."""
        if kind == "canary":
            self._versions.append(_version_of(beside))
        self._pages: dict[Measure, _Page] = {"kept_back": completions.kept_back, "called_bad": completions.called_bad}
        self.tests: dict[Measure, ShareTest] = {
            measure: ShareTest(measure, config, is_compared=kind == "canary") for measure in MEASURES
        }
        self._read_to = dict.fromkeys(MEASURES, 0)

    def look(self) -> None:
        """Take in what the store has got since."""
        for measure in MEASURES:
            is_more = True
            while is_more:
                is_more = self._read(measure)

    def _read(self, measure: Measure) -> bool:
        """Take in a page; whether there may be more."""
        after, page, test = self._read_to[measure], self._pages[measure], self.tests[measure]
        pages = [page(version, after, _PAGE) for version in self._versions]
        # All in the order in which they came, and no further than all were read to.
        last = min((found[-1][0] for found in pages if len(found) == _PAGE), default=None)
        order = sorted((number, place, harm) for place, found in enumerate(pages) for number, harm in found)
        for number, place, is_harmful in order:
            if last is not None and number > last:
                break
            (test.see if place == 0 else test.see_usual)(is_harmful)
            self._read_to[measure] = number
        return last is not None

    @property
    def num_answers(self) -> int:
        """That the release has given."""
        return self.tests["kept_back"].num

    def verdict(self) -> Verdict:
        """`halt` once harm is shown."""
        return verdict_of(self.tests)

    def means(self) -> dict[str, float]:
        """Share of answers that did harm, by measure; of a measure that saw none there is none."""
        return {measure: test.num_harmful / test.num for measure, test in self.tests.items() if test.num}

    def decided(self, verdict: Verdict) -> GateRecord:
        """The record of a decision that was come to; nothing is written."""
        reason = verdict.reason or f"no harm shown in {self.num_answers:,} answers"
        return GateRecord(
            candidate_sha256=self.release.checkpoint_sha256,
            current_sha256=None if self.beside is None else self.beside.checkpoint_sha256,
            passed=verdict.decision == "allow",
            reasons=(f"{self.kind}: {reason}",),
            details={
                "kind": self.kind,
                "release": self.release.id,
                "num_episodes": self.num_answers,
                "num_judged": self.tests["called_bad"].num,
                "means": self.means(),
                "share": self.config.share,
                **verdict.evidence,
            },
        )


def _version_of(release: Release | None) -> int:
    """Of the policy that a release in use holds; before any it is the first."""
    if release is None:
        return 0
    assert release.policy_version is not None, "it is served, which takes a version"
    return release.policy_version
