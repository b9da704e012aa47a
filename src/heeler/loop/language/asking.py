"""Ask and answer: which completions people compare, and what they said, also of answers in chats."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from heeler.core.nouns import Feedback, Message, Query, TextSegment, stable_id
from heeler.core.seeding import stream
from heeler.core.text_data import TextPair
from heeler.core.texts import TextSample
from heeler.feedback.completions import CHAT
from heeler.feedback.crowd import Crowd
from heeler.feedback.datasets.said import Said
from heeler.feedback.store import Store
from heeler.loop.language.answers import Sample, pair_of
from heeler.loop.language.config import PEOPLE, AskingConfig
from heeler.loop.language.worlds import Prompted, TextWorld

_CONSUMER = "learner"
_AT_ONCE = 10_000
HELD_OUT = "held_out"
"""Acquisition of comparisons that nothing is learned from."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A completion that is to be compared."""

    sample: TextSample
    version: int
    """Of the policy that made it."""

    @property
    def segment(self) -> TextSegment:
        """As the store keeps it, which takes no NUL; an untrained model may say one."""
        said = self.sample.completion.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return TextSegment(prompt=self.sample.prompt, completion=said, policy_version=self.version)


CanRead = Callable[[tuple[Message, ...]], bool]
Comparison = tuple[Shown, Shown]
"""Two completions of one prompt."""


class Asking:
    """Comparisons and other answers of one run, from asking to pairs.

    Args:
        config: what is asked; None where nobody is asked and only what is said in chats is taken in.
        store: where questions and answers live.
        world: knows, for simulated users, how good an answer is.
        seed: of the run.
        can_read: whether the model can answer a prompt; nothing is learned from what is said about others.
    """

    def __init__(
        self, config: AskingConfig | None, store: Store, world: TextWorld, seed: int, can_read: CanRead
    ) -> None:
        self.config, self._store, self._world, self._seed = config, store, world, seed
        self._can_read = can_read
        self.crowd: Crowd | None = None
        if config is not None and config.teacher != PEOPLE:
            assert not isinstance(config.teacher, str)
            self.crowd = Crowd(config.teacher, seed)
            for user, kind in self.crowd.users.items():
                store.add_annotator(user, "simulated", f"a {kind} user")
        self.budget = 0 if config is None else config.budget
        self.num_asked = self.num_answered = self.position = self.seen_withdrawals = 0
        self.pairs: dict[int, TextPair] = {}
        """What was learned, by the position of the answer that says it."""
        self.chat_prompts: dict[int, tuple[Message, ...]] = {}
        """Prompts of chats of which people said something, by the position of the answer."""
        self.num_left_out = 0
        """Answers about prompts that the model cannot read, such as those that marks in the place of personal data have
        made longer than its context."""

    @property
    def num_due(self) -> int:
        """Comparisons to ask in this update."""
        return 0 if self.config is None else min(self.config.per_update, max(0, self.budget - self.num_asked))

    def ask(self, comparisons: Sequence[Comparison], *, step: int, acquisition: str) -> None:
        """Put comparisons; simulated users answer at once.

        Args:
            comparisons: which; sides are drawn by chance.
            step: the learner's.
            acquisition: how they were chosen.
        """
        sides = [self._sides(pair, f"sides {acquisition} {step} {i}") for i, pair in enumerate(comparisons)]
        queries = [self._query(pair, step, i, acquisition) for i, pair in enumerate(sides)]
        self._store.add_segments([side.segment for pair in sides for side in pair])
        self._store.add_queries(queries)
        if acquisition != HELD_OUT:
            self.num_asked += len(queries)
        if self.crowd is not None and queries:
            quality = [[self._world.quality(side.sample) or 0.0 for side in pair] for pair in sides]
            answered = zip(queries, quality, strict=True)
            self._store.add_feedback(
                [self.crowd.prefer(query, (left, right), step) for query, (left, right) in answered]
            )

    def _sides(self, pair: Comparison, purpose: str) -> Comparison:
        left, right = pair
        return (left, right) if stream(self._seed, purpose).random() < 0.5 else (right, left)

    def _query(self, pair: Comparison, step: int, number: int, acquisition: str) -> Query:
        left, right = (side.segment.id for side in pair)
        return Query(
            id=stable_id("comparison", self._seed, acquisition, step, number, left, right),
            kind="preference",
            segment_ids=(left, right),
            policy_version=max(side.version for side in pair),
            asked_step=step,
            acquisition=acquisition,
        )

    def listen(self, step: int, sample: Sample) -> tuple[int, float | None]:
        """Take in what was said since.

        Args:
            step: the learner's; what simulated users say later than that belongs to a stretch that was lost.
            sample: see `pair_of`.

        Returns:
            How many answers there were, and the share of held-out comparisons among them that went to the newer model
            (half of the equal ones); None where there are none.
        """
        said = self._said(self._store.feedback_after(self.position, limit=_AT_ONCE, up_to_step=step), sample)
        if said:
            self._store.set_consumed(_CONSUMER, self.position)
        return len(said), _share_of_newer([one for one in said if one.query.acquisition == HELD_OUT])

    def _said(self, found: Sequence[tuple[int, Feedback]], sample: Sample) -> list[Said]:
        """Take in answers from the store."""
        queries = {query.id: query for query in self._store.queries([one.query_id for _, one in found])}
        segments = self._store.segments({name for query in queries.values() for name in query.segment_ids})
        all_said: list[Said] = []
        for position, feedback in found:
            query = queries[feedback.query_id]
            texts = [segments[name] for name in query.segment_ids]
            said = Said(
                position=position,
                feedback=feedback,
                query=query,
                texts=tuple(text for text in texts if isinstance(text, TextSegment)),
            )
            all_said.append(said)
            if query.acquisition != HELD_OUT:
                self.num_answered += 1
                self._learn(said, sample)
            self.position = position
        return all_said

    def _learn(self, said: Said, sample: Sample) -> None:
        if not self._can_read(said.texts[0].prompt):
            self.num_left_out += 1
            return
        pair = pair_of(said, sample)
        if pair is not None:
            self.pairs[said.position] = pair
        if said.query.acquisition == CHAT:
            self.chat_prompts[said.position] = said.texts[0].prompt

    def lacks(self, wanted: int) -> bool:
        """Whether fewer than `wanted` answers of people are in; more than were asked for are not waited for."""
        if self.crowd is not None or self.num_answered >= wanted:
            return False
        if self.config is None:
            return True
        return self.num_answered < self.num_asked - self._store.flags.num_given_up()

    def leave_out_withdrawn(self) -> bool:
        """Learn no more from answers that were withdrawn; returns whether any were since the last time."""
        newest = self._store.withdrawals.newest()
        if newest == self.seen_withdrawals:
            return False
        gone = set(self._store.withdrawals.positions())
        self.pairs = {place: pair for place, pair in self.pairs.items() if place not in gone}
        self.chat_prompts = {place: one for place, one in self.chat_prompts.items() if place not in gone}
        self.seen_withdrawals = newest
        return True

    def from_chats(self, num: int, seed: int) -> list[Prompted]:
        """Prompts of chats of which people said something, all different; as many as there are, and `num` at most."""
        different = list(dict.fromkeys(self.chat_prompts.values()))
        chosen = stream(seed, "prompts of chats").permutation(len(different))[:num]
        columns = dict.fromkeys(self._world.columns)
        return [Prompted(prompt=different[place], columns=columns) for place in chosen]

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps: how far the store was read. What was said stands there."""
        names = ("position", "num_asked", "budget", "seen_withdrawals")
        return {name: getattr(self, name) for name in names}

    def load(self, state: Mapping[str, int], sample: Sample) -> None:
        """Go on from `state`."""
        self.pairs, self.chat_prompts = {}, {}
        self.position = self.num_answered = self.num_left_out = 0
        while True:
            found = self._store.feedback_after(self.position, limit=_AT_ONCE, up_to_step=None)
            found = [(position, feedback) for position, feedback in found if position <= state["position"]]
            if not found:
                break
            self._said(found, sample)
        for name in self.state():
            setattr(self, name, state[name])


def _share_of_newer(said: Sequence[Said]) -> float | None:
    """Share of comparisons that the model of the newer version won."""
    won: list[float] = []
    for one in said:
        choice, (left, right) = one.feedback.value["choice"], one.texts
        if choice == "cant_tell":
            continue
        is_newer = (
            left.policy_version > right.policy_version
            if choice == "left"
            else (right.policy_version > left.policy_version)
        )
        is_level = choice == "equal" or left.policy_version == right.policy_version
        won.append(0.5 if is_level else float(is_newer))
    return sum(won) / len(won) if won else None
