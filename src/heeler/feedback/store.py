"""The store: segments, queries, answers and who gave them; the only place where the learner and people meet.

An answer is acknowledged after its commit was synced. Every write can be repeated: the same again changes nothing.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import delete, insert, select

from heeler.core.errors import ConflictError, DataError, StoreError
from heeler.core.nouns import AnySegment, Command, Feedback, Lease, PolicyVersion, Query
from heeler.feedback import commands, counting, leasing, makers, rows, schema
from heeler.feedback.action_bounds import ActionBounds
from heeler.feedback.backup import Backup, SegmentCopy, back_up
from heeler.feedback.bulk import Bulk
from heeler.feedback.completions import Completions, is_asked_elsewhere
from heeler.feedback.database import Database
from heeler.feedback.facts import Facts
from heeler.feedback.flags import Flags, is_set_aside
from heeler.feedback.form import SegmentFacts
from heeler.feedback.gold import Gold
from heeler.feedback.intake import Place, check_query
from heeler.feedback.ownership import Ownership
from heeler.feedback.segment_files import SegmentFolder, check_segment
from heeler.feedback.withdrawal import Withdrawals, is_forgotten, is_given
from heeler.feedback.work_rows import WorkRows
from heeler.feedback.writing import BeforeCommit, Outcome, write_posts

AnnotatorKind = Literal["person", "simulated", "program"]


class Store:
    """An open store. Use `Store.open`, then `close` or a `with` block. Its methods may be called from any thread."""

    def __init__(self, database: Database, folder: SegmentFolder | None) -> None:
        self._database = database
        self._folder = folder
        self._facts = Facts()

    @classmethod
    def open(cls, url_or_path: str | Path, *, segments_dir: str | Path | None) -> "Store":
        """Open a store, making or migrating its tables where needed.

        Args:
            url_or_path: an SQLite file, or `postgresql://HOST/DATABASE`; a password is better left to PGPASSWORD.
            segments_dir: folder of the segments' files; None for a store that is used without them.

        Raises:
            StoreError: it cannot be opened or written, is no store, or is of a newer heeler; nothing is changed.
        """
        database = Database(url_or_path)
        try:
            return cls(database, None if segments_dir is None else SegmentFolder(Path(segments_dir)))
        except BaseException:
            database.close()
            raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time does nothing."""
        self._database.close()

    @property
    def bulk(self) -> Bulk:
        """All of it at once, for export and import."""
        return Bulk(self._database, self._folder)

    @property
    def completions(self) -> Completions:
        """Answers of chats, by the ids under which they were given out."""
        return Completions(self._database)

    @property
    def flags(self) -> Flags:
        """What people said not everybody wants to see."""
        return Flags(self._database)

    @property
    def gold(self) -> Gold:
        """Queries whose right answer is known."""
        return Gold(self._database)

    @property
    def ownership(self) -> Ownership:
        """The run that it belongs to."""
        return Ownership(self._database)

    @property
    def withdrawals(self) -> Withdrawals:
        """Annotators who were forgotten."""
        return Withdrawals(self._database, self._folder)

    @property
    def work(self) -> WorkRows:
        """When people answered, and nothing of what."""
        return WorkRows(self._database)

    def back_up(self, file: Path, *, segments: Path | None) -> Backup:
        """Copy this store as it is at one moment, while others write to it.

        Args:
            file: the copy; it must not be there yet, and appears whole or not at all.
            segments: folder to copy the segments' files to as well; those that it holds already stay.

        Raises:
            StoreError: the store is on a server, or something cannot be written or was damaged.
        """
        copy = None if segments is None else SegmentCopy(source=self._segments_folder(), folder=segments)
        return back_up(self._database, file, copy)

    def sole_learner(self) -> AbstractContextManager[None]:
        """Keep every other learner out until the block ends; on SQLite that is left to the run directory's lock.

        Raises:
            StoreError: another learner is at work on this database.
        """
        return self._database.sole_learner()

    # Policies and people

    def add_policy_version(self, policy: PolicyVersion) -> None:
        """Note a policy version; a checkpoint's hash may be given, or given anew, later.

        Raises:
            ConflictError: the same version was made at another step.
        """
        with self._database.writing() as connection:
            makers.add_policy_version(connection, policy)

    def policy_versions(self) -> list[PolicyVersion]:
        """All policy versions, in order."""
        with self._database.reading() as connection:
            return makers.policy_versions(connection)

    def add_annotator(self, annotator_id: str, kind: AnnotatorKind, note: str = "") -> None:
        """Note who answers; the first note stays.

        Raises:
            ConflictError: the same id is of another kind.
            DataError: the id or the note cannot be kept, or this annotator was forgotten.
        """
        with self._database.writing() as connection:
            makers.add_annotator(connection, annotator_id, kind, note)

    # Segments

    def add_segments(
        self,
        segments: Sequence[AnySegment],
        *,
        shown_by: str | None = None,
        before_commit: Callable[[], object] = lambda: None,
    ) -> list[str]:
        """Keep segments: their files first, then their rows, so that no row ever lacks its file.

        Args:
            segments: to keep.
            shown_by: the annotator who shows in them how it is done.
            before_commit: called where any is new; what it raises undoes it.

        Returns:
            Their ids, in order.

        Raises:
            DataError: a segment's arrays, text or policy version do not hold, or who shows them was forgotten; none of
                the batch is kept.
            StoreError: the disk is full or read-only.
        """
        folder = self._segments_folder()
        ids = [segment.id for segment in segments]
        by_id = dict(zip(ids, segments, strict=True))
        with self._database.reading() as connection:
            known = rows.known(connection, schema.segments.c.id, by_id)
            versions = rows.known(connection, schema.policy_versions.c.version, {s.policy_version for s in segments})
        for index, segment in enumerate(segments):
            with Place(f"segments[{index}]"):
                check_segment(segment)
                rows.check_fits(schema.segments, rows.segment_row(ids[index], segment))
                if segment.policy_version not in versions:
                    raise DataError(f"policy_version: {segment.policy_version} is unknown; add it first")
        folder.write({i: s for i, s in by_id.items() if i not in known or not folder.has(i)})
        with self._database.writing() as connection:
            known = rows.known(connection, schema.segments.c.id, by_id)
            if shown_by is not None and is_forgotten(connection, shown_by):
                folder.remove(name for name in by_id if name not in known)
                raise DataError("annotator: this one was forgotten, and nothing of theirs is kept")
            fresh = [rows.segment_row(i, s) for i, s in by_id.items() if i not in known]
            rows.insert_all(connection, schema.segments, fresh)
            if fresh:
                before_commit()
        return ids

    def segment(self, segment_id: str) -> AnySegment:
        """The segment of this id, its file's hash checked.

        Raises:
            DataError: it is unknown, or its file is missing or altered.
        """
        return self.segments([segment_id])[segment_id]

    def segments(self, segment_ids: Iterable[str]) -> dict[str, AnySegment]:
        """Segments by id, their files' hashes checked.

        Raises:
            DataError: one is unknown, or its file is missing or altered.
        """
        folder, wanted = self._segments_folder(), list(dict.fromkeys(segment_ids))
        with self._database.reading() as connection:
            facts = rows.segment_facts(connection, wanted)
        found: dict[str, AnySegment] = {}
        for segment_id in wanted:
            if segment_id not in facts:
                raise DataError(f"no segment {segment_id!r} in the store")
            found[segment_id] = segment = folder.read(segment_id)
            # The id covers the numbers but not how they are folded into rows.
            if rows.facts_of(segment) != replace(facts[segment_id], actions=None):
                raise DataError(f"segments/{segment_id}.safetensors: its shape was altered; restore it from a copy")
        return found

    def segment_facts(self, segment_ids: Iterable[str]) -> dict[str, SegmentFacts]:
        """What is known of segments without reading their files, by id; those that are unknown are left out."""
        with self._database.reading() as connection:
            return rows.segment_facts(connection, segment_ids)

    def _segments_folder(self) -> SegmentFolder:
        if self._folder is None:
            raise StoreError(f"store {self._database.name}: opened without a segments folder; give segments_dir")
        return self._folder

    # Queries

    def add_queries(self, queries: Sequence[Query]) -> None:
        """Ask; a query that is there already is left as it is.

        Raises:
            DataError: a query's kind, segments or policy version do not hold; none of the batch is kept.
            ConflictError: the same id asks about other segments.
        """
        with self._database.writing() as connection:
            segments = rows.segment_facts(connection, {i for query in queries for i in query.segment_ids})
            versions = rows.known(connection, schema.policy_versions.c.version, {q.policy_version for q in queries})
            known = rows.queries_by_id(connection, [query.id for query in queries])
            fresh: dict[str, Query] = {}
            for index, query in enumerate(queries):
                with Place(f"queries[{index}]"):
                    check_query(query, segments, versions)
                    rows.check_fits(schema.queries, rows.query_row(query))
                other = known.get(query.id) or fresh.setdefault(query.id, query)
                if (other.kind, other.segment_ids) != (query.kind, query.segment_ids):
                    raise ConflictError(f"queries[{index}]: {query.id} already asks about {list(other.segment_ids)}")
            rows.insert_queries(connection, list(fresh.values()))

    def queries(self, ids: Sequence[str]) -> list[Query]:
        """The queries of these ids, in this order.

        Raises:
            DataError: one is unknown.
        """
        with self._database.reading() as connection:
            found = rows.queries_by_id(connection, ids)
        missing = [query_id for query_id in ids if query_id not in found]
        if missing:
            raise DataError(f"no query {missing[0]!r} in the store")
        return [found[query_id] for query_id in ids]

    def open_queries(self, limit: int) -> list[Query]:
        """Queries that wait for their first answer, the oldest first, at most `limit`; not those that are set aside."""
        table = schema.queries
        given = select(schema.feedback.c.position).where(schema.feedback.c.query_id == table.c.id, is_given())
        answered = given.exists()
        with self._database.reading() as connection:
            waiting = (~answered, ~is_set_aside(), ~is_asked_elsewhere())
            wanted = select(table.c.id).where(*waiting).order_by(table.c.number).limit(limit)
            ids = connection.execute(wanted).scalars().all()
            found = rows.queries_by_id(connection, ids)
        return [found[query_id] for query_id in ids]

    def newest_queries(self, *, limit: int, before: int | None = None) -> list[tuple[int, Query, int]]:
        """Queries with their numbers and how many have answered, the newest first, those below number `before`."""
        with self._database.reading() as connection:
            return rows.newest_queries(connection, limit=limit, before=before)

    def query_count(self) -> int:
        """Queries asked so far, of all kinds, about clips and texts."""
        with self._database.reading() as connection:
            return rows.count(connection, schema.queries)

    def clip_comparison_count(self) -> int:
        """Comparisons of clips asked so far: what a learner of control may take for questions of its own."""
        with self._database.reading() as connection:
            return counting.clip_comparisons(connection)

    def lease(
        self,
        annotator: str,
        limit: int,
        *,
        overlap: int,
        duration_s: float,
        avoid: Collection[str] = (),
        gold_share: float = 0.0,
        first: Sequence[str] = (),
    ) -> list[Lease]:
        """Hand out at most `limit` queries to one annotator: those they hold first, then the oldest that have room.

        Nobody is handed a query that they answered, and no more annotators hold or have answered it than `overlap`.

        Args:
            annotator: known to the store.
            limit: the most.
            overlap: answers of different annotators that each query may have.
            duration_s: how long nobody else is asked in their place; asking again renews it.
            avoid: categories of flags that they chose not to see.
            gold_share: how often a gold item comes instead, which everybody may be asked.
            first: ids of queries that they should be asked before others, in this order; as far as these have room.
        """
        wishes = leasing.Wishes(avoid=tuple(avoid), gold_share=gold_share, first=tuple(first))
        with self._database.writing() as connection:
            if not rows.annotator_kinds(connection, [annotator]):
                raise DataError(f"annotator: {annotator!r} is unknown; add them with add_annotator first")
            now_s = time.time()
            return leasing.take(
                connection, annotator, limit, overlap=overlap, now_s=now_s, duration_s=duration_s, wishes=wishes
            )

    def held_query(self, annotator: str, query_id: str) -> Query | None:
        """The query of this id, if this annotator holds a lease on it."""
        with self._database.reading() as connection:
            if not leasing.held(connection, annotator, query_id, now_s=time.time()):
                return None
            return rows.queries_by_id(connection, [query_id])[query_id]

    def give_back(self, annotator: str, query_ids: Sequence[str]) -> None:
        """End leases early; those that are not held are let be."""
        with self._database.writing() as connection:
            leasing.give_back(connection, annotator, query_ids)

    # Commands and settings

    def ask_command(self, command: Command, *, before_commit: Callable[[], object] = lambda: None) -> Command:
        """Keep what an operator told the learner to do; the same again is what was kept.

        Args:
            command: to keep.
            before_commit: called where it is new; what it raises undoes it.

        Raises:
            ConflictError: the same id told something else.
        """
        with self._database.writing() as connection:
            kept, is_new = commands.ask(connection, command)
            if is_new:
                before_commit()
            return kept

    def finish_command(self, command_id: str, outcome: str) -> None:
        """Note that the learner has obeyed or refused; the first outcome stays."""
        with self._database.writing() as connection:
            commands.finish(connection, command_id, outcome)

    def open_commands(self) -> list[Command]:
        """What the learner has yet to obey, the oldest first."""
        with self._database.reading() as connection:
            return commands.waiting(connection)

    def commands(self, *, limit: int, before: int | None = None) -> list[tuple[int, Command]]:
        """Commands with their numbers, the newest first, those below number `before`."""
        with self._database.reading() as connection:
            return commands.newest(connection, limit=limit, before=before)

    def setting(self, name: str, default: Any) -> Any:
        """A setting of this store, JSON; `default` where it was never set."""
        table = schema.settings
        with self._database.reading() as connection:
            row = connection.execute(select(table.c.value).where(table.c.name == name)).one_or_none()
        return default if row is None else row.value

    def set_setting(self, name: str, value: Any, *, before_commit: Callable[[], object] = lambda: None) -> None:
        """Set a setting; what `before_commit` raises undoes it."""
        table = schema.settings
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.name == name))
            connection.execute(insert(table).values(name=name, value=value))
            before_commit()

    def action_bounds(self) -> ActionBounds | None:
        """Which actions the world of this store's run has; None where no learner has told."""
        with self._database.reading() as connection:
            return rows.action_bounds(connection)

    # Feedback

    def add_feedback(self, batch: Sequence[Feedback]) -> list[int]:
        """Keep answers, all or none; when this returns they are on the disk.

        Returns:
            The position of each; an answer that was there already keeps the position it has.

        Raises:
            DataError: an answer does not hold; the message names its index and field.
            ConflictError: a key came before with another body.
        """
        outcome = self.add_posts([batch], overlap=None)[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def add_posts(
        self, posts: Sequence[Sequence[Feedback]], *, overlap: int | None, before_commit: BeforeCommit | None = None
    ) -> list[Outcome]:
        """Keep several batches in one synced transaction, each of them all or none.

        Args:
            posts: batches of different senders.
            overlap: the most annotators that may answer one query, each of them once; None for no limit.
            before_commit: called with the rows of the new answers, if there are any; what it raises undoes all.

        Returns:
            Of each batch the positions of its answers, or the error that `add_feedback` would have raised.
        """
        with self._database.writing() as connection:
            return write_posts(connection, self._facts, posts, overlap=overlap, before_commit=before_commit)

    def feedback_after(self, position: int, *, limit: int, up_to_step: int | None) -> list[tuple[int, Feedback]]:
        """Answers after `position`, in order of position, with their positions; those that were removed are left out.

        It stops before the first answer that a simulated teacher gives later than `up_to_step`. After a crash the store
        may hold such answers from the stretch that was lost; a resumed learner thus meets each one when the
        uninterrupted learner would have.

        Args:
            position: the last one consumed, 0 for none.
            limit: the most to return.
            up_to_step: the learner's environment steps now; None for all.
        """
        table = schema.feedback
        wanted = select(table).where(table.c.position > position, is_given()).order_by(table.c.position).limit(limit)
        with self._database.reading() as connection:
            found = connection.execute(wanted).all()
        due = takewhile(lambda r: up_to_step is None or r.answered_step is None or r.answered_step <= up_to_step, found)
        return [(row.position, rows.feedback_of(row)) for row in due]

    def set_consumed(self, consumer: str, position: int) -> None:
        """Note how far a consumer has read; a resumed one may step back."""
        table = schema.consumers
        with self._database.writing() as connection:
            connection.execute(delete(table).where(table.c.name == consumer))
            connection.execute(insert(table).values(name=consumer, position=position))

    def consumed(self, consumer: str) -> int:
        """How far a consumer has read; 0 for one that is new."""
        table = schema.consumers
        with self._database.reading() as connection:
            position = connection.execute(select(table.c.position).where(table.c.name == consumer)).scalar()
        return position or 0

    def answering(self) -> tuple[int, float | None]:
        """How many queries wait for an answer, and when the newest answer came (Unix seconds; None where none has)."""
        with self._database.reading() as connection:
            return counting.answering(connection)

    def counts(self) -> dict[str, Any]:
        """How much there is: `segments`, `queries`, `feedback`, and feedback `by_kind`, `by_choice`, `by_annotator`."""
        with self._database.reading() as connection:
            return counting.counts(connection)
