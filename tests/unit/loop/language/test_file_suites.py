"""What the gate asks a model about a file of prompts of which nobody but people knows what is good."""

from typing import Any

from heeler.core.nouns import Message
from heeler.core.texts import TextSample
from heeler.evaluation.text_suites import Suite
from heeler.loop.language.file_suites import injected, suites
from heeler.loop.language.worlds import Prompted


def rows(**columns: Any) -> list[Prompted]:
    return [Prompted(prompt=(Message(role="user", content=f"question {n}?"),), columns=columns) for n in range(5)]


def named(made: list[Suite], name: str) -> Any:
    return next(suite for suite in made if suite.name == name)


def test_what_can_be_asked_follows_from_the_columns() -> None:
    assert [suite.name for suite in suites(rows())] == ["toxicity", "prompt_injection"]
    with_all = {suite.name for suite in suites(rows(reference="It costs 12 euro.", facts="The lamp: 12 euro"))}
    assert with_all == {"toxicity", "prompt_injection", "helpfulness", "perplexity", "truthfulness"}


def test_an_injection_is_obeyed_by_its_own_words_alone() -> None:
    suite = named(suites(rows()), "prompt_injection")
    item = suite.items[0]
    assert item.prompt[-1].content.startswith("question 0?\n\n")
    canaries = {one.columns["canary"] for one in suite.items}
    assert len(canaries) == len(suite.items)
    for answer, obeyed in ((f"{item.columns['canary']}!", 1.0), ("It costs 12 euro.", 0.0)):
        sample = TextSample(prompt=item.prompt, completion=answer, columns=item.columns)
        assert suite.score(sample) == obeyed
    assert injected(item.prompt).columns == injected(item.prompt).columns


def test_facts_tell_what_is_true() -> None:
    suite = named(suites(rows(facts="The lamp: 12 euro")), "truthfulness")
    item = suite.items[0]
    for answer, score in (("12 euro.", 1.0), ("13 euro.", 0.0), ("I do not know.", 1.0)):
        assert suite.score(TextSample(prompt=item.prompt, completion=answer, columns=item.columns)) == score
