"""What is kept of a chat: each prompt with its answer and the version that gave it, before it counts as complete."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from heeler.core.chat import ChatEngine, ChatModel
from heeler.core.errors import ChatStopped
from heeler.core.nouns import Feedback, Message, PolicyVersion, Query, TextSegment, stable_id
from heeler.core.privacy import redact
from heeler.feedback.completions import CHANGED, CHAT, GUARD, GUARD_ACTS, KEPT_BACK, Completion
from heeler.feedback.store import Store
from heeler.service.accounts.people import SERVICE, Person
from heeler.service.audit import Audit
from heeler.service.chat.gate import Act
from heeler.service.runs import OpenRun, Runs

STOPPED = "chat_stopped"
"""Setting of the store that says who stopped the chat; None while it is not stopped. It outlives the service."""
_TITLE_LENGTH = 80


@dataclass(frozen=True, kw_only=True)
class Given:
    """An answer that somebody is given."""

    id: str
    choice: int
    person: Person
    conversation: str | None
    prompt: tuple[Message, ...]
    text: str
    version: int


class Records:
    """The store of the run that a chat belongs to.

    Args:
        runs: of the service.
        run: its name.
        engine: what answers.
        audit: takes a line for acts of operators and guards.
    """

    def __init__(self, runs: Runs, run: str, engine: ChatEngine, audit: Audit) -> None:
        self._runs, self.run, self._engine, self._audit = runs, run, engine, audit
        self._known: dict[Store, set[object]] = {}
        self._counting = threading.Lock()
        self.is_stopped = False
        """As far as this service knows; `ready` looks."""

    def opened(self) -> OpenRun:
        """The run, with its store."""
        return self._runs.open(self.run)

    def ready(self, person: Person) -> ChatModel:
        """The model that answers, once its version and who asks are known to the store.

        Raises:
            ChatStopped: an operator stopped it, or its version was taken back.
            DataError: who asks was forgotten.
        """
        store = self.opened().store
        self.is_stopped = store.setting(STOPPED, None) is not None
        if self.is_stopped:
            raise ChatStopped("an operator has stopped this model; nobody is answered until it is let go on")
        model = self._engine.model()
        self._once(store, person.id, lambda: store.add_annotator(person.id, person.kind))
        self._know(store, model)
        return model

    def _know(self, store: Store, model: ChatModel) -> None:
        version = PolicyVersion(version=model.version, step=model.step, checkpoint_sha256=model.checkpoint_sha256)

        def add() -> None:
            # The learner of a run notes its versions itself.
            if all(known.version != version.version for known in store.policy_versions()):
                store.add_policy_version(version)

        self._once(store, version.version, add)

    def _once(self, store: Store, name: object, act: Callable[[], object]) -> None:
        known = self._known.setdefault(store, set())
        if name not in known:
            act()
            known.add(name)

    def stop(self, person_id: str) -> None:
        """Have nobody answered from the next request on, and end what is on its way."""
        store = self.opened().store
        store.set_setting(
            STOPPED, person_id, before_commit=lambda: self._audit.append(person_id, "chat.stop", self.run)
        )
        self.is_stopped = True

    def resume(self, person_id: str) -> None:
        """Have people answered again."""
        store = self.opened().store
        store.set_setting(STOPPED, None, before_commit=lambda: self._audit.append(person_id, "chat.resume", self.run))
        self.is_stopped = False

    def keep(self, given: Given) -> str:
        """Keep an answer; when this returns it is on the disk. Returns its segment's id.

        Raises:
            DataError: who was given it was forgotten meanwhile.
            StoreError: the store cannot be written.
        """
        store = self.opened().store
        if given.version not in self._known.get(store, ()):
            # It was put into use since this answer was asked for.
            self._know(store, self._engine.model(given.version))
        completion = redact(given.text)
        prompt = tuple(replace(message, content=redact(message.content).text) for message in given.prompt)
        segment = TextSegment(prompt=prompt, completion=completion.text, policy_version=given.version)
        (segment_id,) = store.add_segments([segment])
        row = Completion(
            id=given.id,
            choice=given.choice,
            segment_id=segment_id,
            annotator=given.person.id,
            conversation=given.conversation,
            title=_title(prompt),
            marks=completion.cuts,
            created_unix_s=time.time(),
        )
        store.completions.add([row])
        return segment_id

    def keep_acts(self, given: Given, acts: Sequence[Act], replacement: str | None) -> None:
        """Keep what guards did to an answer: the answer as the model gave it, and their word on it as feedback.

        Args:
            given: the answer, as the model gave it.
            acts: of guards, in order; where it was kept back, the last one did that.
            replacement: what was said instead; None where it was kept back.
        """
        prefix = KEPT_BACK if replacement is None else CHANGED
        hidden = replace(given, id=f"{prefix}{uuid.uuid4().hex}", conversation=None)
        segment_id = self.keep(hidden)
        for act in acts:
            self.note_act(act, "outgoing", segment=segment_id)
        # However often a guard changed something, it has one word to say of the whole answer.
        judges = dict.fromkeys(act.guard for act in (acts[-1:] if replacement is None else acts) if not _failed(act))
        for guard in judges:
            self._judge(hidden, segment_id, guard, replacement)

    def _judge(self, given: Given, segment_id: str, guard: str, replacement: str | None) -> None:
        """A guard's word on an answer: a better text, or that it is bad."""
        store, annotator = self.opened().store, GUARD + guard
        self._once(store, annotator, lambda: store.add_annotator(annotator, "program"))
        is_better = replacement is not None and bool(replacement.strip())
        kind = "correction" if is_better else "evaluation"
        query = Query(
            id=stable_id(CHAT, kind, given.id, guard),
            kind=kind,
            segment_ids=(segment_id,),
            policy_version=given.version,
            asked_step=next((one.step for one in store.policy_versions() if one.version == given.version), 0),
            acquisition=CHAT,
        )
        store.add_queries([query])
        value = {"text": replacement} if is_better else {"marks": [{"time_s": 0.0, "sign": -1}]}
        key = str(uuid.uuid4())
        store.add_feedback([Feedback(key=key, query_id=query.id, kind=kind, value=value, annotator=annotator)])

    def note_act(self, act: Act, which: str, **details: str) -> None:
        """Write in the audit log that a guard has acted, and count it for the learner's metrics.

        What it saw is no matter for a log that nothing leaves. An act on what comes in is counted and no more, as no
        answer was bad. Where an attack gets through, the answer is judged, by people and by what looks at answers.

        Raises:
            StoreError: it cannot be noted; then nothing may come of it either.
        """
        store, verdict = self.opened().store, act.verdict
        rules = sorted({one["rule"] for one in verdict.evidence.get("findings", ()) if "rule" in one})
        told = {"guard": act.guard, "decision": verdict.decision, "failed": _failed(act), "rules": rules}
        with self._counting:
            counts = dict(store.setting(GUARD_ACTS, {}))
            for name in ["failed"] if _failed(act) else rules or [act.guard]:
                named = f"{which}/{name.replace(' ', '_')}"
                counts[named] = counts.get(named, 0) + 1
            store.set_setting(
                GUARD_ACTS,
                counts,
                before_commit=lambda: self._audit.append(SERVICE, f"guard.{which}", self.run, **told, **details),
            )


def _failed(act: Act) -> bool:
    """Whether the guard could not judge, so that it says nothing and nothing is to be learned from it."""
    return bool(act.verdict.evidence.get("failed"))


def _title(prompt: Sequence[Message]) -> str:
    first = next((message.content for message in prompt if message.role == "user"), "")
    words = " ".join(first.split())
    return words if len(words) <= _TITLE_LENGTH else f"{words[: _TITLE_LENGTH - 1]}…"
