"""Label Studio's `JSON-MIN`: a record for each annotation, with the task's data and the results side by side.

Source: the converter of Label Studio's SDK. A record is the task's `data`, `id`, `annotator`, `annotation_id`,
`created_at`, `updated_at` and `lead_time`, and under the name of each tag the values of its results: a single choice or
text stands alone. A text of others' tags cannot be told from the task's own texts, so that choices and texts are read
under heeler's names alone. Regions and the texts written for them are given apart, in the same order.
"""

from collections.abc import Generator, Mapping
from typing import Any, cast

from heeler.core.errors import DataError
from heeler.feedback.transfer.items import check_list, check_object

_OWN = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "id")
_CHOICES = ("preference", "neither", "evaluation")
_TEXTS = ("critique", "correction", "demonstration")
_SHAPES = {"selected": "pairwise", "rating": "rating", "number": "number", "labels": "labels"}


def is_min(record: Mapping[str, Any]) -> bool:
    """Whether a record is of this form."""
    return "data" not in record and "annotation_id" in record


def task_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as a task with one annotation.

    Raises:
        DataError: there are other numbers of regions and of texts for them.
    """
    results: list[dict[str, Any]] = []
    data: dict[str, Any] = {}
    for name, value in record.items():
        found = list(_results(name, value))
        results += found
        if not found and name not in _OWN:
            data[name] = value
    _join_regions(results)
    annotation = {
        "id": record.get("annotation_id"),
        "completed_by": record.get("annotator"),
        "lead_time": record.get("lead_time"),
        "result": results,
    }
    return {"data": data, "annotations": [annotation]}


def _results(name: str, value: object) -> Generator[dict[str, Any]]:
    for one in cast(list[Any], value) if isinstance(value, list) else [value]:
        if isinstance(one, Mapping):
            fields = cast(Mapping[str, Any], one)
            shape = next((kind for field, kind in _SHAPES.items() if field in fields), None)
            if isinstance(value, list) and shape is not None:
                yield {"from_name": name, "type": shape, "value": dict(fields)}
            elif name in _CHOICES and "choices" in fields:
                yield {"from_name": name, "type": "choices", "value": dict(fields)}
            elif name in _TEXTS and "text" in fields:
                yield {"from_name": name, "type": "textarea", "value": dict(fields)}
        elif isinstance(one, str) and name in _CHOICES:
            yield {"from_name": name, "type": "choices", "value": {"choices": [one]}}
        elif isinstance(one, str) and name in _TEXTS:
            yield {"from_name": name, "type": "textarea", "value": {"text": [one]}}


def _join_regions(results: list[dict[str, Any]]) -> None:
    regions = [result for result in results if result["type"] == "labels"]
    words = [result for result in results if result["from_name"] == "critique"]
    if not regions or not words:
        return
    if len(regions) != len(words):
        raise DataError(
            f"critique: expected a text for each of {len(regions)} marked parts, got {len(words)}; this form does not "
            "say which belong together, so export the project as JSON instead"
        )
    for number, (region, text) in enumerate(zip(regions, words, strict=True)):
        check_list(check_object(text["value"], "critique").get("text"), "critique.text")
        region["id"] = text["id"] = f"part {number}"
