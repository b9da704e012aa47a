"""`label-studio`: the JSON of Label Studio's projects for comparing and for rating, as it exports them.

Sources: the pages "Task format" and "Export" of Label Studio's guide for tasks and annotations, and the source of its
tags Pairwise and Rating for their results: a comparison is `{"type": "pairwise", "value": {"selected": "left"}}`, and a
rating `{"type": "rating", "value": {"rating": 4}}`, in whole stars from 1.

Texts are another module's, `label_studio_texts`: they go out and come in as texts, with all kinds of feedback, and
also from tasks that were made elsewhere. The rest of this is about clips, whose tasks hold ids.

What is exported of clips fits a project with these tags, of which a project needs the ones that it has tasks for:

    <Pairwise name="preference" toName="left,right"/>
    <Text name="left" value="$left"/> <Text name="right" value="$right"/>
    <Rating name="rating" toName="segment" maxRating="5"/> <Text name="segment" value="$segment"/>

A task is a query; its `data` holds the ids of the segments as text. A task has no place for who answered but the number
or e-mail address of a user of that Label Studio, so that annotations that come from heeler leave `completed_by` out and
`data.answers` says whose they are. Label Studio gives an annotation that it imports a new id and keeps the old one as
`import_id`; both lead back to the same answer.

Of clips there is no place for "equal", "can't tell", ratings that are not whole, and the other kinds: they are left out
and counted. Confidence, a simulated teacher's step, and whether a model's view was opened are lost. Skipped annotations
and predictions are no answers. Whoever has annotated is named `label-studio-N`, after their number there, or after a
hash where there is only their e-mail address, which is not taken over.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Feedback, FeedbackKind, Query
from heeler.feedback.bulk import Annotator, Answered
from heeler.feedback.store import Store
from heeler.feedback.transfer.files import Located, read_array, write_array
from heeler.feedback.transfer.items import Answer, Incoming, Left, check_list, check_name, check_object, shown
from heeler.feedback.transfer.label_studio_min import is_min, task_of
from heeler.feedback.transfer.label_studio_tasks import annotator_of, lead_time_of, read_texts
from heeler.feedback.transfer.label_studio_texts import STARS, text_task
from heeler.feedback.transfer.ratings import whole_rating
from heeler.feedback.transfer.tally import Tally
from heeler.feedback.transfer.text_answers import rating_of
from heeler.feedback.transfer.text_tasks import TextPages, with_known_queries
from heeler.feedback.transfer.texts import Policies

_SEGMENT_ID = re.compile("[0-9a-f]{64}")


def write(
    store: Store, file: BinaryIO, tally: Tally, kind: FeedbackKind | None = None, with_open: bool = False
) -> None:
    """Write every query with answers that Label Studio has a place for as a task.

    Args:
        store: with the queries.
        file: to write to.
        tally: counts what is written and left out.
        kind: of the queries; None for all.
        with_open: write queries about texts that nobody has answered too.
    """
    write_array(file, _tasks(store, tally, kind, with_open))


def _tasks(store: Store, tally: Tally, kind: FeedbackKind | None, with_open: bool) -> Generator[dict[str, Any]]:
    number, pages, annotators = 0, TextPages(store), store.bulk.annotators()
    for page in store.bulk.answered_queries(store.bulk.last_position(), with_open=with_open):
        some = [(query, answers) for query, answers in page if kind in (None, query.kind)]
        texts = pages.texts(some)
        if any(a.answer.annotator not in annotators for _, answers in some for a in answers):
            annotators = store.bulk.annotators()
        for query, answers in some:
            if query.segment_ids[0] in texts:
                tally.num_open += not answers
                number += 1
                tally.num_answers += len(answers)
                yield text_task(number, query, answers, texts, annotators)
                continue
            held, scale = _held(query, answers, tally)
            if held:
                number += 1
                tally.num_answers += len(held)
                yield _task(number, query, held, scale)


def _held(query: Query, answers: Sequence[Answered], tally: Tally) -> tuple[list[Answered], tuple[float, float] | None]:
    held: list[Answered] = []
    scale: tuple[float, float] | None = None
    for answered in answers:
        value = answered.answer.value
        if query.kind == "rating":
            rating = whole_rating(value, 1, 100, scale)
            if rating is None:
                tally.leave_out("ratings that are no whole number of stars, or on another scale than the first")
                continue
            scale = (value["low"], value["high"])
        elif query.kind != "preference":
            tally.leave_out(f"answers of kind {query.kind}")
            continue
        elif value["choice"] not in ("left", "right"):
            tally.leave_out(f"preferences for neither side ({value['choice']})")
            continue
        held.append(answered)
    return held, scale


def _task(number: int, query: Query, held: Sequence[Answered], scale: tuple[float, float] | None) -> dict[str, Any]:
    names = ("left", "right") if query.kind == "preference" else ("segment",)
    data: dict[str, Any] = {
        "query_id": query.id,
        "kind": query.kind,
        **dict(zip(names, query.segment_ids, strict=True)),
    }
    if scale is not None:
        data |= {"rating_low": scale[0], "rating_high": scale[1]}
    data["answers"] = {str(a.position): {"key": a.answer.key, "annotator": a.answer.annotator} for a in held}
    return {
        "id": number,
        "data": data,
        "annotations": [_annotation(number, answered) for answered in held],
        "predictions": [],
    }


def _annotation(task: int, answered: Answered) -> dict[str, Any]:
    answer = answered.answer
    when = datetime.fromtimestamp(answered.received_unix_s, UTC).isoformat().replace("+00:00", "Z")
    if answer.kind == "preference":
        tag, to_name, kind, value = "preference", "preference", "pairwise", {"selected": answer.value["choice"]}
    else:
        tag, to_name, kind, value = "rating", "segment", "rating", {"rating": int(answer.value["score"])}
    result = {"id": answer.key[:10], "from_name": tag, "to_name": to_name, "type": kind, "origin": "manual"}
    return {
        "id": answered.position,
        "result": [{**result, "value": value}],
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": when,
        "updated_at": when,
        "lead_time": answer.time_taken_s,
        "result_count": 1,
        "task": task,
        "unique_id": answer.key,
    }


def read(file: BinaryIO, store: Store, scale: tuple[float, float] | None = None) -> Generator[Incoming]:
    """Read the annotations of tasks that show texts, and of tasks that were made of queries of the store.

    Args:
        file: of Label Studio's form JSON or JSON-MIN.
        store: which it is to go into.
        scale: of the ratings of tasks that do not say; None for 1 to 5.

    Raises:
        DataError: a task or annotation does not hold; names its record and field.
    """
    policies = Policies(store)
    for place, task, known in with_known_queries(_read_tasks(file), lambda task: task["data"].get("query_id"), store):
        for name in ("predictions", "drafts"):
            for _ in task.get(name) or ():
                yield Incoming(place=place, item=Left(what=name))
        if _shows_texts(task["data"], place):
            yield from read_texts(place, task, known, policies, scale)
        else:
            yield from _read_clips(place, task, scale)


def _read_tasks(file: BinaryIO) -> Generator[tuple[str, dict[str, Any]]]:
    for place, record in read_array(file):
        with Located(place):
            task = task_of(record) if is_min(record) else record
            if is_min(record) and _has_own_answers(task["data"]):
                raise DataError(
                    "annotation_id: JSON-MIN does not say which annotations are answers that heeler had already; "
                    "export the project as JSON instead"
                )
            if "data" not in task:
                raise DataError(
                    "data: missing; expected a task with data and annotations, as Label Studio exports them"
                )
            data, annotations = check_object(task["data"], "data"), task.get("annotations")
            checked = check_list([] if annotations is None else annotations, "annotations")
        yield place, {**task, "data": data, "annotations": checked}


def _has_own_answers(data: Mapping[str, Any]) -> bool:
    asked = data.get("heeler")
    return bool(data.get("answers") if asked is None else cast(Mapping[str, Any], asked).get("answers"))


def _shows_texts(data: Mapping[str, Any], place: str) -> bool:
    if "query_id" in data:
        with Located(place):
            check_name(data["query_id"], "data.query_id")
        return "heeler" in data
    with Located(place):
        ids = [data[name] for name in ("left", "right", "segment") if name in data]
        if ids and all(isinstance(name, str) and _SEGMENT_ID.fullmatch(name) for name in ids):
            raise DataError(
                "data.query_id: missing; only tasks that were made of a run's queries can come back in with the ids of "
                "clips"
            )
    return True


def _read_clips(place: str, task: Mapping[str, Any], scale: tuple[float, float] | None) -> Generator[Incoming]:
    for index, value in enumerate(task["annotations"]):
        where = f"{place}: annotations[{index}]"
        with Located(where):
            item = _item(check_object(value, "annotation"), task["data"], scale)
        if isinstance(item, Answer):
            yield Incoming(place=where, item=Annotator(id=item.feedback.annotator, kind=None))
        yield Incoming(place=where, item=item)


def _item(annotation: Mapping[str, Any], data: Mapping[str, Any], scale: tuple[float, float] | None) -> Answer | Left:
    if annotation.get("was_cancelled"):
        return Left(what="skipped annotations")
    results = [check_object(r, "result") for r in check_list(annotation.get("result"), "result")]
    ours = [result for result in results if result.get("type") in ("pairwise", "rating")]
    if not ours:
        return Left(what="annotations without a comparison or rating")
    if len(ours) > 1:
        raise DataError(f"result: expected one comparison or rating, got {len(ours)}")
    value = check_object(ours[0].get("value"), "result.value")
    key, annotator = _who(annotation, data)
    is_choice = ours[0]["type"] == "pairwise"
    feedback = Feedback(
        key=key,
        query_id=data["query_id"],
        kind="preference" if is_choice else "rating",
        value=_choice(value) if is_choice else _rating(value, data, scale),
        annotator=annotator,
        time_taken_s=lead_time_of(annotation),
    )
    return Answer(feedback=feedback, is_whole=False)


def _choice(value: Mapping[str, Any]) -> dict[str, Any]:
    selected = value.get("selected")
    if selected not in ("left", "right"):
        raise DataError(f"result.value.selected: expected 'left' or 'right', got {shown(selected)}")
    return {"choice": selected}


def _rating(value: Mapping[str, Any], data: Mapping[str, Any], scale: tuple[float, float] | None) -> dict[str, Any]:
    return rating_of(value.get("rating"), data, scale or STARS, "data", "result.value.rating")


def _who(annotation: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[str, str]:
    """(key, annotator) of an annotation: those of the answer that it was made of, or whoever annotated."""
    answers = check_object(data.get("answers", {}), "data.answers")
    own = answers.get(str(annotation.get("import_id")))
    if own is None and annotation.get("completed_by") is None:
        own = answers.get(str(annotation.get("id")))
    if own is not None:
        fields = check_object(own, "data.answers")
        key = check_name(fields.get("key"), "data.answers.key")
        return key, check_name(fields.get("annotator"), "data.answers.annotator")
    return "", annotator_of(annotation)
