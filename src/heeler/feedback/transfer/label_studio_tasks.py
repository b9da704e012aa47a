"""Tasks of Label Studio that show texts, on their way in: see `label_studio_texts` for their form."""

import hashlib
from collections.abc import Generator, Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.form import check_number
from heeler.feedback.transfer.carried import Asked, Carried, asked_of
from heeler.feedback.transfer.files import Located
from heeler.feedback.transfer.items import Incoming, Left, TextItem, check_list, check_name, check_object, shown
from heeler.feedback.transfer.label_studio_texts import values_of
from heeler.feedback.transfer.shown_texts import Shown, shown_texts
from heeler.feedback.transfer.text_tasks import Said, TextTask
from heeler.feedback.transfer.texts import Policies

_Scale = tuple[float, float] | None


def read_texts(
    place: str, task: Mapping[str, Any], known: Query | None, policies: Policies, scale: _Scale
) -> Generator[Incoming]:
    """What a task that shows texts brings.

    Args:
        place: of the task, for messages.
        task: with checked `data` and `annotations`.
        known: the store's query that it was made of, if it has one.
        policies: that are brought already.
        scale: of ratings that do not say.

    Raises:
        DataError: the task or an annotation does not hold; names the field.
    """
    data, asked = task["data"], None
    with Located(place):
        seen = shown_texts(data, "data")
        if "heeler" in data:
            num_texts = len(seen.completions)
            asked = asked_of(data.get("query_id"), data.get("kind"), data["heeler"], num_texts, "data.heeler")
        texts = TextTask(seen, asked, known, policies)
    if texts.is_of_twice_the_same:
        yield Incoming(place=place, item=Left(what="pairs of twice the same text"))
        return
    if not task["annotations"]:
        yield from (Incoming(place=place, item=item) for item in texts.question())
    for index, value in enumerate(task["annotations"]):
        where = f"{place}: annotations[{index}]"
        with Located(where):
            items = list(_items(check_object(value, "annotation"), texts, seen, data, asked, scale))
        yield from (Incoming(place=where, item=item) for item in items)


def _items(
    annotation: Mapping[str, Any],
    texts: TextTask,
    seen: Shown,
    data: Mapping[str, Any],
    asked: Asked | None,
    scale: _Scale,
) -> Generator[TextItem]:
    if annotation.get("was_cancelled"):
        yield Left(what="skipped annotations")
        return
    results = [check_object(r, "result") for r in check_list(annotation.get("result"), "result")]
    carried = _carried(annotation, asked) if asked else None
    found = list(values_of(results, seen, carried.on_its_scale(data) if carried else data, scale))
    answers = [value for value in found if not isinstance(value, Left)]
    yield from (value for value in found if isinstance(value, Left))
    if not answers:
        yield Left(what="annotations without an answer")
        return
    is_heelers = carried is not None and annotation.get("completed_by") is None
    annotator = carried.annotator if carried and is_heelers else annotator_of(annotation)
    for kind, value in answers:
        said = Said(kind=kind, value=value, annotator=annotator, time_taken_s=lead_time_of(annotation), carried=carried)
        yield from texts.answer(said)


def _carried(annotation: Mapping[str, Any], asked: Asked) -> Carried | None:
    """The answer that an annotation was made of: Label Studio keeps the id that it had as `import_id`."""
    own = asked.answers.get(str(annotation.get("import_id")))
    if own is None and annotation.get("completed_by") is None:
        return asked.answers.get(str(annotation.get("id")))
    return own


def lead_time_of(annotation: Mapping[str, Any]) -> float | None:
    """Seconds that an annotation took; None where it does not say.

    Raises:
        DataError: it is no number.
    """
    lead_time = annotation.get("lead_time")
    return None if lead_time is None else check_number(lead_time, "lead_time", low=0)


def annotator_of(annotation: Mapping[str, Any]) -> str:
    """What whoever annotated is called in heeler: after their number, or a hash where there is only an e-mail address.

    Raises:
        DataError: the annotation does not say who it was.
    """
    by = annotation.get("completed_by")
    number: object = cast(Mapping[str, Any], by).get("id") if isinstance(by, Mapping) else by
    if isinstance(number, bool) or not isinstance(number, int | str):
        raise DataError(f"completed_by: expected the number of who annotated, got {shown(number)}")
    if isinstance(number, str) and "@" in number:
        number = hashlib.sha256(number.strip().casefold().encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return check_name(f"label-studio-{number}", "completed_by")
