"""What people say of answers, their own conversations, and an operator's hand on the whole chat."""

from typing import cast

from fastapi import Request

from heeler.core.errors import ChatStopped
from heeler.core.nouns import Feedback, FeedbackKind, TextSegment
from heeler.core.privacy import redact
from heeler.feedback.completions import Completion
from heeler.feedback.store import Store
from heeler.service.bodies import Page, ReceiptOut
from heeler.service.bodies_chat import ChatFeedbackBody, ChatOut, ConversationDetailOut, ConversationOut, SaidOut
from heeler.service.care import require_consent
from heeler.service.chat.saying import query_and_value, query_id
from heeler.service.context import Cursor, Limit, caller_of, chat_of, number_of, service_of
from heeler.service.permissions import Permission
from heeler.service.problems import unknown
from heeler.service.routes.table import Entry
from heeler.service.runs import COMPARE_SHARE


def get_chat(request: Request) -> ChatOut:
    """What is talked to, and whether it answers."""
    chat = chat_of(service_of(request))
    share = float(chat.records.opened().setting(COMPARE_SHARE))
    try:
        model = chat.records.ready(require_consent(request).person)
    except ChatStopped as stopped:
        words = str(stopped)
        return ChatOut(
            run=chat.records.run,
            model=None,
            version=None,
            system=chat.setup.system,
            stopped=words,
            compare_share=share,
            max_tokens=None,
        )
    return ChatOut(
        run=chat.records.run,
        model=model.name,
        version=model.version,
        system=chat.setup.system,
        stopped=None,
        compare_share=share,
        max_tokens=model.max_tokens,
    )


def add_feedback(request: Request, body: ChatFeedbackBody) -> ReceiptOut:
    """Keep what somebody says of an answer that they were given. The same key with the same body is answered the same;
    with another body it is refused (409). Who changes their mind says it anew, with a new key.
    """
    opened = chat_of(service_of(request)).records.opened()
    person, store = require_consent(request).person, opened.store
    completion = store.completions.get(body.completion_id, body.choice, person.id)
    if completion is None:
        raise unknown("answer of yours with this choice and id", body.completion_id, "completion_id")
    query, value = query_and_value(store, person.id, completion, body.kind, body.value)
    store.add_queries([query])
    answer = Feedback(
        key=body.key,
        query_id=query.id,
        kind=cast(FeedbackKind, query.kind),
        value=value,
        annotator=person.id,
        time_taken_s=body.time_taken_s,
        confidence=body.confidence,
    )
    # Without an overlap: somebody may say more than one thing of an answer, and nobody else is asked.
    outcome = store.add_posts([[answer]], overlap=None, before_commit=opened.note)[0]
    if isinstance(outcome, Exception):
        raise outcome
    return ReceiptOut(key=body.key, position=outcome[0])


def list_conversations(request: Request, limit: Limit = 100, cursor: Cursor = None) -> Page[ConversationOut]:
    """One's own conversations, the newest first."""
    store, before = chat_of(service_of(request)).records.opened().store, number_of(cursor, 10**15)
    found = store.completions.conversations(caller_of(request).person.id, limit=limit, before=before)
    items = [
        ConversationOut(id=str(one.conversation), title=one.title, updated_unix_s=one.created_unix_s)
        for _, one in found
    ]
    return Page(items=items, next=str(found[-1][0]) if len(found) == limit else None)


def get_conversation(request: Request, conversation: str) -> ConversationDetailOut:
    """One of one's own conversations, as it was kept; of answers that were compared, the better one."""
    chat, person = chat_of(service_of(request)), caller_of(request).person.id
    store = chat.records.opened().store
    given = store.completions.of_conversation(person, conversation)
    if not given:
        raise unknown("conversation of yours", conversation, "conversation")
    newest = _better(store, person, [one for one in given if one.id == given[-1].id])
    last = store.segment(newest.segment_id)
    assert isinstance(last, TextSegment)
    said = [SaidOut(role=message.role, content=message.content) for message in last.prompt]
    said.append(_said(newest, last))
    for one in given:
        segment = store.segment(one.segment_id)
        place = len(segment.prompt) if isinstance(segment, TextSegment) else 0
        # A prompt holds the answers before it; which of them is which, its place and its words tell.
        if isinstance(segment, TextSegment) and place < len(last.prompt) and said[place].content == segment.completion:
            said[place] = _said(one, segment)
    if (said[0].role, said[0].content) == ("system", redact(chat.setup.system).text):
        # It is told anew wherever the conversation goes on.
        del said[0]
    return ConversationDetailOut(id=conversation, title=newest.title, messages=said)


def _said(completion: Completion, segment: TextSegment) -> SaidOut:
    return SaidOut(
        role="assistant",
        content=segment.completion,
        completion_id=completion.id,
        choice=completion.choice,
        version=segment.policy_version,
    )


def _better(store: Store, person: str, given: list[Completion]) -> Completion:
    """Of two answers that were given at once, the one that somebody said is better; else the first."""
    if len(given) != 2:
        return given[0]
    first, second = sorted(given, key=lambda one: one.choice)
    chosen = store.completions.preferred(query_id("preference", (first.id, 0), (second.id, 1)), person)
    return second if chosen == "right" else first


def stop(request: Request) -> None:
    """Have nobody answered from the next request on; what is on its way is cut short. One person is enough."""
    chat_of(service_of(request)).records.stop(caller_of(request).person.id)


def resume(request: Request) -> None:
    """Have people answered again."""
    chat_of(service_of(request)).records.resume(caller_of(request).person.id)


_CHAT, _STEER = Permission.CHAT, Permission.STEER
ROUTES = (
    Entry(method="GET", path="/chat", permission=_CHAT, endpoint=get_chat, answer=ChatOut, also=(404,)),
    Entry(
        method="POST",
        path="/chat/feedback",
        permission=_CHAT,
        endpoint=add_feedback,
        answer=ReceiptOut,
        also=(404, 409),
    ),
    Entry(
        method="GET",
        path="/chat/conversations",
        permission=_CHAT,
        endpoint=list_conversations,
        answer=Page[ConversationOut],
        also=(404,),
    ),
    Entry(
        method="GET",
        path="/chat/conversations/{conversation}",
        permission=_CHAT,
        endpoint=get_conversation,
        answer=ConversationDetailOut,
    ),
    Entry(method="POST", path="/chat/stop", permission=_STEER, endpoint=stop, status=204, also=(404,)),
    Entry(method="POST", path="/chat/resume", permission=_STEER, endpoint=resume, status=204, also=(404,)),
)
