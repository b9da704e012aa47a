"""Records of Argilla that show texts, on their way in: see `argilla_texts` for their form.

A record comes as `records.to_json` and `to_list` write it, or flat as `to_list(flatten=True)` and `to_datasets` do,
with `QUESTION.responses`, `QUESTION.responses.users` and `QUESTION.suggestion` beside the fields.
"""

import json
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from heeler.core.errors import DataError
from heeler.core.nouns import Query
from heeler.feedback.bulk import Annotator
from heeler.feedback.transfer.argilla_texts import values_of
from heeler.feedback.transfer.carried import Asked, asked_of
from heeler.feedback.transfer.files import Located
from heeler.feedback.transfer.items import Incoming, Left, TextItem, check_list, check_object, shown
from heeler.feedback.transfer.shown_texts import Shown, shown_texts
from heeler.feedback.transfer.text_tasks import Said, TextTask
from heeler.feedback.transfer.texts import Policies

_METADATA = ("query_id", "kind", "heeler", "rating_low", "rating_high")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reading records needs to know."""

    annotators: Mapping[str, Annotator]
    """Of the store, by id."""
    by_user: Mapping[str, str]
    """Their ids, by the UUIDs that Argilla knows them by."""
    policies: Policies
    """That are brought already."""
    scale: tuple[float, float] | None
    """Of ratings of records that do not say."""


@dataclass(frozen=True, kw_only=True)
class _Record:
    """A record that shows texts."""

    metadata: Mapping[str, Any]
    seen: Shown
    asked: Asked | None
    texts: TextTask
    scale: tuple[float, float] | None

    def items(self, given: Mapping[str, Any], annotator: str, user: str, field: str) -> list[tuple[str, TextItem]]:
        """(where, item) of all that somebody's answers, by question, bring; `user` is who Argilla says they are."""
        carried = self.asked.answers.get(user) if self.asked else None
        found: list[tuple[str, TextItem]] = []
        where = f"{field}{next(iter(given))}"
        metadata = carried.on_its_scale(self.metadata) if carried else self.metadata
        for value in values_of(given, self.seen, metadata, self.scale, field):
            if isinstance(value, Left):
                found.append((where, value))
                continue
            said = Said(kind=value[0], value=value[1], annotator=annotator, carried=carried)
            found += [(where, item) for item in self.texts.answer(said)]
        return found


def is_flat(record: Mapping[str, Any]) -> bool:
    """Whether a record has its fields and responses side by side."""
    return "fields" not in record and any(name.endswith((".responses", ".suggestion")) for name in record)


def nested(record: Mapping[str, Any]) -> dict[str, Any]:
    """A flat record as `records.to_json` would have it.

    Raises:
        DataError: a question has other numbers of responses and of users.
    """
    fields: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    responses: dict[str, Any] = {}
    suggestions: dict[str, Any] = {}
    for name, value in record.items():
        question, _, last = name.partition(".responses")
        if last == "" and question != name:
            responses[question] = _responses(record, question, value)
        elif name.endswith(".suggestion") and value is not None:
            question = name.removesuffix(".suggestion")
            rest = {part: record.get(f"{name}.{part}") for part in ("score", "agent")}
            suggestions[question] = {"value": value, **rest}
        elif name in _METADATA:
            metadata[name] = value
        elif "." not in name:
            fields[name] = value
    metadata = {name: value for name, value in metadata.items() if value is not None}
    return {
        "id": record.get("id"),
        "fields": fields,
        "metadata": metadata,
        "responses": responses,
        "suggestions": suggestions,
    }


def _responses(record: Mapping[str, Any], question: str, value: object) -> list[dict[str, Any]]:
    name = f"{question}.responses"
    values = [] if value is None else check_list(value, name)
    columns: dict[str, list[Any]] = {}
    for column in ("users", "status"):
        found = record.get(f"{name}.{column}")
        columns[column] = [None] * len(values) if found is None else check_list(found, f"{name}.{column}")
        if len(columns[column]) != len(values):
            raise DataError(
                f"{name}.{column}: expected {len(values)}, one of each response, got {len(columns[column])}"
            )
    rows = zip(values, columns["users"], columns["status"], strict=True)
    return [{"value": one, "user_id": user, "status": status or "submitted"} for one, user, status in rows]


def read_texts(place: str, record: Mapping[str, Any], known: Query | None, reading: Reading) -> Generator[Incoming]:
    """What a record that shows texts brings.

    Args:
        place: of the record, for messages.
        record: with checked `metadata`.
        known: the store's query that it was made of, if it has one.
        reading: what else is known.

    Raises:
        DataError: the record or a response does not hold; names the field.
    """
    with Located(place):
        metadata = check_object(record["metadata"], "metadata")
        seen = shown_texts(check_object(record["fields"], "fields"), "fields")
        asked = _asked(metadata, len(seen.completions))
        texts = TextTask(seen, asked, known, reading.policies)
        items = _items(
            record, _Record(metadata=metadata, seen=seen, asked=asked, texts=texts, scale=reading.scale), reading
        )
    yield from (Incoming(place=f"{place}: {field}" if field else place, item=item) for field, item in items)


def _items(record: Mapping[str, Any], shows: _Record, reading: Reading) -> list[tuple[str, TextItem]]:
    people, left = _by_user(record)
    programs, left_too = _by_agent(record, shows.asked, reading.annotators)
    items: list[tuple[str, TextItem]] = [("", Left(what=what)) for what in (*left, *left_too)]
    if shows.texts.is_of_twice_the_same:
        return [*items, ("", Left(what="pairs of twice the same text"))]
    if not people and not programs:
        return [*items, *(("", item) for item in shows.texts.question())]
    for user, given in people.items():
        items += shows.items(given, _annotator(user, reading.by_user, shows.asked), user, "responses.")
    for agent, given in programs.items():
        items += shows.items(given, agent, agent, "suggestions.")
    return items


def _asked(metadata: Mapping[str, Any], num_texts: int) -> Asked | None:
    own = metadata.get("heeler")
    if own is None:
        return None
    try:
        value = json.loads(own) if isinstance(own, str) else own
    except (ValueError, RecursionError) as error:
        raise DataError(f"metadata.heeler: expected JSON as heeler wrote it, got {shown(own)}") from error
    return asked_of(metadata.get("query_id"), metadata.get("kind"), value, num_texts, "metadata.heeler")


def _by_user(record: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """What each person said to each question, and what is passed over."""
    people: dict[str, dict[str, Any]] = {}
    left: list[str] = []
    for question, values in optional_object(record, "responses").items():
        for index, value in enumerate(check_list(values, f"responses.{question}")):
            field = f"responses.{question}[{index}]"
            response = check_object(value, field)
            status = response.get("status") or "submitted"
            if status != "submitted":
                left.append(f"responses with the status {status}")
                continue
            given = people.setdefault(check_uuid(response.get("user_id"), f"{field}.user_id"), {})
            if question in given:
                raise DataError(f"{field}.user_id: stands twice in this question; a user has one response to it")
            given[question] = response.get("value")
    return people, left


def _by_agent(
    record: Mapping[str, Any], asked: Asked | None, annotators: Mapping[str, Annotator]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    programs: dict[str, dict[str, Any]] = {}
    left: list[str] = []
    for question, value in optional_object(record, "suggestions").items():
        suggestion = check_object(value, f"suggestions.{question}")
        agent = suggestion.get("agent")
        known = annotators.get(agent) if isinstance(agent, str) else None
        is_known = known is not None and known.kind != "person"
        if isinstance(agent, str) and (is_known or (asked is not None and agent in asked.answers)):
            programs.setdefault(agent, {})[question] = suggestion.get("value")
        else:
            left.append("suggestions of others than this store's simulated teachers and programs")
    return programs, left


def _annotator(user: str, by_user: Mapping[str, str], asked: Asked | None) -> str:
    carried = asked.answers.get(user) if asked else None
    return carried.annotator if carried else by_user.get(user, f"argilla-{user}")


def check_uuid(value: object, field: str) -> str:
    """A UUID as Argilla names users by, in its usual form.

    Raises:
        DataError: it is none; names the field.
    """
    try:
        return str(uuid.UUID(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise DataError(f"{field}: expected a UUID, got {shown(value)}") from error


def optional_object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field of a record that is an object, or an empty one where it has none.

    Raises:
        DataError: it is something else.
    """
    value = record.get(name)
    return {} if value is None else check_object(value, name)
