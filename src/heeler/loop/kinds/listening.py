"""From the store to the learned reward: takes in answers of every kind, and leaves out those that were withdrawn."""

from collections.abc import Mapping, Sequence

from heeler.core.nouns import Feedback, Query, Segment
from heeler.core.seeding import stream
from heeler.feedback.answer_times import AnswerTimes
from heeler.feedback.seen_views import OPENED, view_of
from heeler.feedback.store import Store
from heeler.feedback.stores import control_segments
from heeler.loop.config import RunConfig
from heeler.loop.kinds.candidates import Alternative, Candidate, Drawing
from heeler.loop.kinds.ledger import Ledger, Taken
from heeler.loop.kinds.views import agrees_with_view
from heeler.loop.new_answers import NewAnswers, is_foretold
from heeler.loop.not_possible import NotPossible
from heeler.rewards.joint.evidence import PICKS, Item
from heeler.rewards.joint.model import JointModel, JointModelState
from heeler.rewards.joint.readings import Reader

CONSUMER = "learner"
_AT_ONCE, _MOST_OPEN = 10_000, 100_000


class Listening:
    """Reads the store for one run.

    Args:
        config: of the run; its `kinds` must be set.
        store: where answers come from.
        model: the learned reward.
        reader: of answers.
        times: what answers took.
    """

    def __init__(self, config: RunConfig, store: Store, model: JointModel, reader: Reader, times: AnswerTimes) -> None:
        assert config.kinds is not None
        self._run_config, self._config, self._store = config, config.kinds, store
        self._model, self._reader, self._times = model, reader, times
        self.ledger = Ledger()
        self.position = self.seen_withdrawals = 0
        self.new_answers = NewAnswers(wanted=config.monitors is not None)
        self.not_possible = NotPossible()

    def listen(
        self, state: JointModelState, history: Sequence[Segment], step: int
    ) -> tuple[JointModelState, list[Taken]]:
        """Take in what has come, with what that was; every person's answer to a question counts, the first of each."""
        if self._config.teacher == "people":
            self.ledger.num_given_up = self._store.flags.num_given_up()
        found = self._store.feedback_after(self.position, limit=_AT_ONCE, up_to_step=step)
        if not found:
            return state, []
        state, taken = self._take_in(state, found, history)
        self.position = found[-1][0]
        self._store.set_consumed(CONSUMER, self.position)
        return state, taken

    def leave_out_withdrawn(self, state: JointModelState) -> tuple[JointModelState, bool]:
        """A reward that is to be fitted anew without the answers that were withdrawn since, and whether any were.

        What the weights learned from them cannot be taken out of the weights; nor their times out of a mean.
        """
        newest = self._store.withdrawals.newest()
        if newest == self.seen_withdrawals:
            return state, False
        self.seen_withdrawals = newest
        gone = set(self._store.withdrawals.positions())
        lost = {position: each for position, each in self.ledger.taken.items() if position in gone}
        if not lost:
            return state, False
        for position in lost:
            del self.ledger.taken[position]
        self._times.load_state_dict(())
        for each in self.ledger.taken.values():
            self._times.add(each.kind, each.person, each.seconds)
        keys = {each.key for each in lost.values()}
        return self._model.without(state, keys, self._run_config.seed), True

    def _take_in(
        self, state: JointModelState, found: Sequence[tuple[int, Feedback]], history: Sequence[Segment]
    ) -> tuple[JointModelState, list[Taken]]:
        queries = self._queries([feedback for _, feedback in found])
        heard = {(each.query_id, each.person) for each in self.ledger.taken.values()}
        mine: list[tuple[int, Feedback]] = []
        for position, feedback in found:
            if feedback.query_id in queries and (feedback.query_id, feedback.annotator) not in heard:
                heard.add((feedback.query_id, feedback.annotator))
                mine.append((position, feedback))
        segments = self._segments([feedback for _, feedback in mine], queries)
        self._tell_monitors([feedback for _, feedback in mine], queries, segments, state)
        every, taken, bounds = list[Item](), list[Taken](), self._store.action_bounds()
        for position, feedback in mine:
            shown = segments.get(str(feedback.value.get("segment_id")))
            is_left_out = not self.not_possible.passes(feedback, bounds, shown)
            items = [] if is_left_out else self._items(feedback, queries[feedback.query_id], segments, history)
            view = view_of(feedback)
            is_left_out |= bool(items) and view == OPENED and not self._config.counts_opened
            items = [] if is_left_out else items
            every += items
            self.ledger.taken[position] = one = Taken(
                query_id=feedback.query_id,
                key=feedback.key,
                kind=feedback.kind,
                person=feedback.annotator,
                seconds=self._times.add(feedback.kind, feedback.annotator, feedback.time_taken_s),
                says=bool(items),
                marks=len(feedback.value.get("marks", ())),
                view=view,
                agrees=agrees_with_view(feedback),
                is_left_out=is_left_out,
            )
            taken.append(one)
        return self._model.add(state, every), taken

    def _queries(self, found: Sequence[Feedback]) -> dict[str, Query]:
        """Of these answers, those that are about clips of this run.

        A simulated teacher's answers to questions of a stretch that was lost are not taken in; it will give them again.
        People's are: they were asked, whatever became of the run.
        """
        asked = self.ledger.asked if self._config.teacher != "people" else None
        wanted = [
            one.query_id for one in found if one.kind in self._config.kinds and (asked is None or one.query_id in asked)
        ]
        queries = {query.id: query for query in self._store.queries(list(dict.fromkeys(wanted)))}
        facts = self._store.segment_facts({name for query in queries.values() for name in query.segment_ids})
        length = self._config.segment_length

        def is_mine(query: Query) -> bool:
            # Others may have asked about texts, or about clips of another length, in this store.
            shown = [facts[name] for name in query.segment_ids]
            return all(not each.is_text and each.num_steps == length for each in shown)

        return {name: query for name, query in queries.items() if is_mine(query)}

    def _segments(self, answers: Sequence[Feedback], queries: Mapping[str, Query]) -> dict[str, Segment]:
        """All that the answers are about."""
        names = {name for one in answers for name in queries[one.query_id].segment_ids}
        names |= {str(one.value["segment_id"]) for one in answers if one.kind == "demonstration"}
        for one in answers:
            asked = self.ledger.asked.get(one.query_id)
            names |= {name for name, _ in asked.alternatives} if asked else set()
        return control_segments(self._store, names)

    def _items(
        self, answer: Feedback, query: Query, segments: Mapping[str, Segment], history: Sequence[Segment]
    ) -> list[Item]:
        shown = [segments[name] for name in query.segment_ids]
        if answer.kind not in PICKS:
            return self._reader.read(answer, shown)
        alternatives = self._alternatives(answer, shown[0], segments, history)
        others = Candidate(kind=answer.kind, segments=(shown[0],), alternatives=alternatives).others
        if answer.kind == "correction":
            return self._reader.read(answer, shown, others)
        return self._demonstrated(answer, segments[str(answer.value["segment_id"])], (shown[0], *others))

    def _demonstrated(self, answer: Feedback, shown: Segment, others: Sequence[Segment]) -> list[Item]:
        """What is shown is judged in pieces as long as a clip; a rest that is shorter is left out."""
        length = self._config.segment_length
        items: list[Item] = []
        for start in range(0, len(shown) - length + 1, length):
            piece = shown if len(shown) == length else _piece(shown, start, length)
            different = [each for each in others if each.id != piece.id]
            items += self._reader.read(answer, [piece], different) if different else []
        return items

    def _alternatives(
        self, answer: Feedback, shown: Segment, segments: Mapping[str, Segment], history: Sequence[Segment]
    ) -> tuple[Alternative, ...]:
        asked = self.ledger.asked.get(answer.query_id)
        if asked is not None and asked.alternatives:
            return tuple((segments[name], step) for name, step in asked.alternatives)
        # The question is of a stretch that was lost, or of an earlier start.
        generator = stream(self._run_config.seed, f"alternatives of {answer.query_id}")
        drawing = Drawing(0.0, self._config.num_alternatives, generator)
        return drawing.alternatives(answer.kind, shown, history)

    def _tell_monitors(
        self,
        answers: Sequence[Feedback],
        queries: Mapping[str, Query],
        segments: Mapping[str, Segment],
        state: JointModelState,
    ) -> None:
        """Monitors look at comparisons, whose answers have sides and can be foretold."""
        compared = [one for one in answers if one.kind == "preference"]
        if not compared or not self.new_answers.wanted:
            return
        foretold: dict[str, bool] = {}
        if state.num_fits:
            pairs = [segments[name] for one in compared for name in queries[one.query_id].segment_ids]
            returns = self._model.segment_returns(state, pairs).mean(0).view(-1, 2).tolist()
            told = {
                one.key: is_foretold(left, right, one.value["choice"])
                for one, (left, right) in zip(compared, returns, strict=True)
            }
            foretold = {key: right for key, right in told.items() if right is not None}
        self.new_answers.add(compared, queries, foretold)

    def lost_questions(self) -> list[Query]:
        """Open questions about clips that this run put in a stretch that was lost."""
        waiting = [one for one in self._store.open_queries(_MOST_OPEN) if one.kind in self._config.kinds]
        facts = self._store.segment_facts({one.segment_ids[0] for one in waiting})
        return [one for one in waiting if one.id not in self.ledger.asked and not facts[one.segment_ids[0]].is_text]


def _piece(segment: Segment, start: int, length: int) -> Segment:
    at = slice(start, start + length)
    return Segment(
        observation=segment.observation[at],
        action=segment.action[at],
        next_observation=segment.next_observation[at],
        env_id=segment.env_id,
        policy_version=segment.policy_version,
        trajectory_id=segment.trajectory_id,
        start_step=segment.start_step + start,
    )
