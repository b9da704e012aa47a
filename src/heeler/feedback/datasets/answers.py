"""What people answered in a run, as datasets: pairs, judged answers and demonstrations.

- Pairs: which of two is better, and a corrected text over what it corrects.
- Judged answers: thumbs, ratings off the middle and critiques; what was corrected is bad, and what it was corrected to
  is good. A guard's objection is a thumb down.
- Demonstrations: corrected texts, and completions that were shown as how it is done.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from heeler.core.errors import DataError
from heeler.core.nouns import TextSegment
from heeler.core.text_data import Demonstration, JudgedText, PromptedText, TextPair
from heeler.feedback.datasets.reading import Dataset
from heeler.feedback.datasets.said import Said, compared, sign_of
from heeler.feedback.store import Store

Item = TypeVar("Item", bound=PromptedText)
_AT_ONCE = 10_000


class Answers:
    """What was said of texts in one run's store, up to one answer.

    Args:
        store: of the run.
        name: of the run, for messages.
        up_to: position of the last answer that counts; None for all that there are.
        without: acquisitions of queries whose answers are left out.

    Raises:
        StoreError: the store cannot be read.
    """

    def __init__(self, store: Store, name: str, *, up_to: int | None = None, without: Collection[str] = ()) -> None:
        self._name = name
        self.said: list[Said] = []
        self._shown: dict[str, TextSegment] = {}
        self.position = 0
        """Of the last answer."""
        while True:
            found = store.feedback_after(self.position, limit=_AT_ONCE, up_to_step=None)
            found = [(position, one) for position, one in found if up_to is None or position <= up_to]
            if not found:
                break
            self.position = found[-1][0]
            queries = {query.id: query for query in store.queries([one.query_id for _, one in found])}
            names = {name for query in queries.values() for name in query.segment_ids}
            names |= {one.value["segment_id"] for _, one in found if one.kind == "demonstration"}
            segments = store.segments(names)
            texts = {name: segment for name, segment in segments.items() if isinstance(segment, TextSegment)}
            self._shown |= texts
            for position, one in found:
                query = queries[one.query_id]
                about = tuple(texts[name] for name in query.segment_ids if name in texts)
                if about and len(about) == len(query.segment_ids) and query.acquisition not in without:
                    self.said.append(Said(position=position, feedback=one, query=query, texts=about))

    def pairs(self) -> Dataset[TextPair]:
        """A better and a worse completion each.

        Raises:
            DataError: there is none.
        """
        return self._dataset("pairs", self._pair, "it tells no two texts apart")

    def judged(self) -> Dataset[JudgedText]:
        """Completions that were called good or bad. The rest is as of `pairs`."""
        return self._dataset("judged answers", _judged, "it calls no text good or bad")

    def demonstrations(self) -> Dataset[Demonstration]:
        """Completions that people wrote. The rest is as of `pairs`."""
        return self._dataset("demonstrations", self._demonstrated, "it shows no text to imitate")

    def _dataset(self, what: str, items_of: Callable[[Said], Sequence[Item]], why_not: str) -> Dataset[Item]:
        items: list[Item] = []
        dropped: Counter[str] = Counter()
        first_dropped = ""
        for said in self.said:
            found = items_of(said)
            items += found
            if not found:
                dropped[why_not] += 1
                first_dropped = first_dropped or f"{said.place} of {self._name}: {why_not}"
        if not items:
            raise DataError(
                f"{self._name}: its {len(self.said)} answers about texts hold no {what}; name a run in which people "
                "gave some, or a file"
            )
        return Dataset(items=tuple(items), num_rows=len(self.said), dropped=dict(dropped), first_dropped=first_dropped)

    def _pair(self, said: Said) -> list[TextPair]:
        pair = compared(said)
        return [] if pair is None or pair.chosen == pair.rejected else [pair]

    def _demonstrated(self, said: Said) -> list[Demonstration]:
        value, prompt = said.feedback.value, said.texts[0].prompt
        if said.feedback.kind == "correction" and value.get("text"):
            return [Demonstration(prompt=prompt, completion=value["text"], place=said.place)]
        shown = self._shown.get(value["segment_id"]) if said.feedback.kind == "demonstration" else None
        return [] if shown is None else [Demonstration(prompt=prompt, completion=shown.completion, place=said.place)]


def _judged(said: Said) -> list[JudgedText]:
    prompt, first = said.texts[0].prompt, said.texts[0].completion
    value, sign = said.feedback.value, sign_of(said)
    if sign is not None:
        return [JudgedText(prompt=prompt, completion=first, is_good=sign > 0, place=said.place)]
    if said.feedback.kind == "correction" and value.get("text") and value["text"] != first:
        return [
            JudgedText(prompt=prompt, completion=value["text"], is_good=True, place=said.place),
            JudgedText(prompt=prompt, completion=first, is_good=False, place=said.place),
        ]
    return []
