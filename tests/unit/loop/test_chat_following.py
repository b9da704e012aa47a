"""Releases of a served language model: a share of the conversations, evidence from the store, what is taken back."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from heeler.core.audit import AUDIT_NAME, entries, verify
from heeler.core.errors import RunError
from heeler.core.gate_records import GateRecord, GateRecords
from heeler.core.nouns import Feedback, Message, PolicyVersion, Query, TextSegment, stable_id
from heeler.core.releases import Release, Releases, state_of
from heeler.feedback.completions import CHANGED, CHAT, GUARD, KEPT_BACK, Completion
from heeler.feedback.store import Store
from heeler.feedback.stores import open_store
from heeler.loop.chat_evidence import ChatEvidence
from heeler.loop.chat_following import ChatFollower
from heeler.loop.chat_releases import ReleaseWatch
from heeler.models.language.model import LanguageModel
from heeler.oversight.chat_harm import ChatLiveConfig
from tests.tiny_models import tiny_llama
from tests.unit.loop.test_chat_engine import Run, other, said, until

LIVE = ChatLiveConfig(share=0.5, num_answers=40)


class Chats:
    """A store in which chats leave what they leave.

    Args:
        store: of a run.
    """

    def __init__(self, store: Store) -> None:
        self.store, self._num = store, 0
        store.add_annotator("ann", "person")
        store.add_annotator(f"{GUARD}rules", "program")

    def answer(self, version: int, outcome: str = "given") -> str:
        """An answer that was given, kept back by a guard, or changed by one; returns its segment."""
        self._num += 1
        if version not in {known.version for known in self.store.policy_versions()}:
            self.store.add_policy_version(PolicyVersion(version=version, step=100 * version))
        prefix = {"given": "chatcmpl-", "kept": KEPT_BACK, "changed": CHANGED}[outcome]
        prompt = (Message(role="user", content=f"{self._num}?"),)
        (segment,) = self.store.add_segments([TextSegment(prompt=prompt, completion="so", policy_version=version)])
        self.store.completions.add(
            [
                Completion(
                    id=f"{prefix}{self._num}",
                    choice=0,
                    segment_id=segment,
                    annotator="ann",
                    conversation=None,
                    title="",
                    marks=(),
                    created_unix_s=float(self._num),
                )
            ]
        )
        return segment

    def judge(self, segment: str, sign: int | None, who: str = "ann") -> None:
        """A mark, or for None a better answer."""
        kind = "correction" if sign is None else "evaluation"
        query = Query(
            id=stable_id(CHAT, kind, segment, who),
            kind=kind,
            segment_ids=(segment,),
            policy_version=0,
            asked_step=0,
            acquisition=CHAT,
        )
        self.store.add_queries([query])
        value = {"text": "better"} if sign is None else {"marks": [{"time_s": 0.0, "sign": sign}]}
        key = str(uuid.uuid4())
        self.store.add_feedback([Feedback(key=key, query_id=query.id, kind=kind, value=value, annotator=who)])


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.set_num_threads(1)
    return tiny_llama(0, max_length=96).frozen_copy()


@pytest.fixture
def run(tmp_path: Path, model: LanguageModel) -> Iterator[Run]:
    run = Run(tmp_path / "run", model)
    run.releases = Releases(run.directory, needs_gate=True)
    yield run
    run.chat.close()


@pytest.fixture
def chats(run: Run) -> Iterator[Chats]:
    with open_store(run.directory) as store:
        store.add_policy_version(PolicyVersion(version=0, step=0))
        yield Chats(store)


def follower(run: Run, *, tries: bool = True, **changes: float) -> ChatFollower:
    return ChatFollower(run.directory, replace(LIVE, **changes), open_store(run.directory), tries_candidates=tries)


def passed(run: Run, version: int) -> Release:
    """A candidate that a gate has passed against what is in use."""
    state = {"lineage": {"policy_version": version, "answers": 1}}
    run.directory.save_checkpoint(version * 100, other(run.model, version * 0.01), state, keep=99)
    in_use = run.releases.in_use()
    record = GateRecord(
        candidate_sha256=run.directory.load_checkpoint(version * 100).sha256,
        current_sha256=None if in_use is None else in_use.checkpoint_sha256,
        passed=True,
        reasons=(),
        details={"kind": "text", "number": version},
    )
    return run.releases.propose(str(uuid.uuid4()), version * 100, "learner", audit_head="0" * 64, gate=record)


def state(run: Run, release: Release) -> str:
    found = {one.id: one for one in run.releases.all()}
    return state_of(found[release.id], run.releases.in_use())


def evidence(chats: Chats, release: Release) -> ChatEvidence:
    return ChatEvidence("canary", release, LIVE, chats.store.completions)


# What the store says


def test_what_guards_kept_back_and_what_people_called_bad_is_read_from_the_store(run: Run, chats: Chats) -> None:
    of_three = [chats.answer(3, outcome) for outcome in ("given", "kept", "changed", "given", "given")]
    chats.answer(2, "kept")
    completions = chats.store.completions
    assert completions.kept_back(3, 0, 99) == [(1, False), (2, True), (4, False), (5, False)]
    assert completions.kept_back(3, 2, 1) == [(4, False)]
    chats.judge(of_three[0], 1)
    chats.judge(of_three[0], -1)
    chats.judge(of_three[1], -1, f"{GUARD}rules")
    chats.judge(of_three[3], -1)
    chats.judge(of_three[4], None)
    bad = [is_bad for _, is_bad in completions.called_bad(3, 0, 99)]
    assert bad == [False, True, True], "whoever changes their mind, and guards, do not count"
    assert completions.called_bad(2, 0, 99) == []


def test_evidence_is_the_same_however_often_it_was_looked_at(
    run: Run, chats: Chats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heeler.loop.chat_evidence._PAGE", 7)
    release = passed(run, 3)
    often = evidence(chats, release)
    for number in range(60):
        for version in (0, 3, 0):
            chats.judge(chats.answer(version, "kept" if number % 5 == version else "given"), number % 3 - 1 or 1)
        if number % 4 == 0:
            often.look()
    often.look()
    once = evidence(chats, release)
    once.look()
    assert once.num_answers == often.num_answers == 60
    assert once.means() == often.means()
    assert once.verdict().evidence == often.verdict().evidence
    assert once.tests["kept_back"].tests.num_episodes > 50


# Decisions


def served(chats: Chats, answers: Sequence[tuple[int, str]]) -> None:
    for version, outcome in answers:
        chats.answer(version, outcome)


def test_a_candidate_that_does_no_harm_comes_into_use(run: Run, chats: Chats) -> None:
    release, decides = passed(run, 1), follower(run)
    assert decides.candidate(run.releases.all()) == release
    served(chats, [(0, "given"), (1, "given")] * 39)
    assert not decides.decide(run.releases.all())
    served(chats, [(0, "given"), (1, "given")])
    assert decides.decide(run.releases.all())
    assert state(run, release) == "in use"
    (record,) = [one for one in GateRecords(run.directory).all() if one.details["kind"] == "canary"]
    assert (record.passed, record.details["num_episodes"], record.details["means"]) == (True, 40, {"kept_back": 0.0})
    assert [entry.act for entry in entries(run.directory.path / AUDIT_NAME, after=0, limit=9)] == [
        "canary.decide",
        "release.approve",
    ]
    assert verify(run.directory.path / AUDIT_NAME).is_sound
    decides.close()


def test_a_candidate_whose_answers_are_kept_back_more_often_is_taken_back_early(run: Run, chats: Chats) -> None:
    release, decides = passed(run, 1), follower(run)
    for number in range(40):
        served(chats, [(0, "given"), (1, "kept" if number % 3 else "given")])
        if decides.decide(run.releases.all()):
            break
    assert number < 35
    assert state(run, release) == "withdrawn"
    assert decides.candidate(run.releases.all()) is None
    decides.close()


def test_a_release_that_people_call_bad_is_taken_back_and_the_one_before_it_answers(run: Run, chats: Chats) -> None:
    first = run.releases.approve(passed(run, 1).id, "gate")
    second = run.releases.approve(passed(run, 2).id, "gate")
    decides = follower(run, tries=False)
    for _ in range(40):
        chats.judge(chats.answer(1), -1)
    assert not decides.decide(run.releases.all()), "what the one before did is not held against it"
    for _ in range(40):
        chats.judge(chats.answer(2), -1)
    assert decides.decide(run.releases.all())
    assert (state(run, first), state(run, second)) == ("in use", "withdrawn")
    (record,) = [one for one in GateRecords(run.directory).all() if one.details["kind"] == "watch"]
    assert record.reasons == ("watch: more answers called bad than allowed",)
    decides.close()


@pytest.mark.parametrize("tries", [True, False])
def test_what_the_gate_kept_back_or_compared_with_another_gets_no_share(run: Run, chats: Chats, tries: bool) -> None:
    stale = passed(run, 1)
    run.releases.approve(passed(run, 2).id, "gate")
    fresh = passed(run, 3)
    decides = follower(run, tries=tries)
    found = decides.candidate(run.releases.all())
    assert (found == fresh) if tries else found is None
    run.releases.withdraw(fresh.id, "ann")
    assert decides.candidate(run.releases.all()) is None, f"{stale.id} was compared with what was in use before"
    decides.close()


def test_one_service_at_a_time_decides(run: Run, chats: Chats) -> None:
    first = follower(run)
    with pytest.raises(RunError, match="followed by another service"):
        follower(run)
    first.close()
    follower(run).close()


# In a chat


def versions_of(run: Run, conversations: Sequence[str | None], **fields: int) -> list[int]:
    return [said(run.chat, max_tokens=1, conversation=one, **fields)[1][-1].version for one in conversations]


def test_a_share_of_the_conversations_is_the_candidate_s_and_stays_so(run: Run, chats: Chats) -> None:
    release, decides = passed(run, 1), follower(run)
    run.watch = ReleaseWatch(run.releases, run.chat, run.first, run.load, decides)
    run.watch.begin()
    until(lambda: run.chat.model(1).version == 1)
    names = [str(uuid.UUID(int=number)) for number in range(24)]
    first = versions_of(run, names)
    assert set(first) == {0, 1} and 4 <= sum(first) <= 20
    assert versions_of(run, names) == first, "a conversation stays where it began"
    assert set(versions_of(run, [None] * 24)) == {0, 1}
    assert set(versions_of(run, names, version=0)) == {0}, "who asks for the version in use gets it"
    assert run.chat.model().label == "tiny@0"
    run.releases.withdraw(release.id, "ann")
    assert run.chat.model(1).version == 0
    assert set(versions_of(run, names)) == {0}


def test_a_served_candidate_comes_into_use_by_itself(run: Run, chats: Chats, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heeler.loop.chat_releases.DECIDE_EVERY_S", 0.0)
    passed(run, 1)
    run.watch = ReleaseWatch(run.releases, run.chat, run.first, run.load, follower(run))
    run.watch.begin()
    served(chats, [(0, "given"), (1, "given")] * 40)
    until(lambda: run.chat.model().version == 1)
    assert set(versions_of(run, [None] * 8)) == {1}
    for _ in range(60):
        chats.answer(1, "kept")
    until(lambda: run.chat.model().version == 0)
