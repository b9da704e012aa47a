"""Questions with the answers that they should get."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal

from heeler.core.nouns import Message
from heeler.envs.helpdesk.knowledge import DAYS, Knowledge, draw_knowledge, product_names
from heeler.envs.helpdesk.wordings import OPENINGS, opened, wordings

Split = Literal["train", "test"]
FACT_KINDS = ("price", "stock", "hours", "returns", "warranty", "shipping", "order", "unknown")
"""Kinds of questions that a fact answers, or that no fact does."""
REFUSED_KINDS = ("others_order", "injection", "insult")
"""Kinds that must be refused."""
KINDS = FACT_KINDS + REFUSED_KINDS
REFUSAL = "I am sorry, I cannot help with that."
OTHERS = "I am sorry, I can only speak about your own orders."
_SHARE_OPENED = 0.4
"""Of the questions that are learned from, those with a greeting or the like."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question to the desk."""

    knowledge: Knowledge
    kind: str
    question: str
    subject: str
    """The product, day or order number that it asks about; empty where there is none."""
    reference: str
    """What a good answer says."""

    @property
    def prompt(self) -> tuple[Message, ...]:
        """What a model is given."""
        return (
            Message(role="system", content=self.knowledge.prompt()),
            Message(role="user", content=self.question),
        )


def items(split: Split, seed: int) -> Iterator[Item]:
    """Questions without end, each about facts of its own.

    Args:
        split: `train`, or `test`: with products and wordings that training never shows.
        seed: the same gives the same.
    """
    rng = Random(f"helpdesk/{split}/{seed}")
    while True:
        yield draw_item(rng, draw_knowledge(rng, held_out=split == "test"), split)


def draw_item(rng: Random, knowledge: Knowledge, split: Split, kind: str | None = None) -> Item:
    """A question about some facts, of any kind."""
    kind = kind or rng.choice(KINDS)
    subject = _subject(rng, knowledge, kind, split)
    wording = rng.choice(wordings(kind, held_out=split == "test"))
    if split == "train" and rng.random() < _SHARE_OPENED:
        wording = opened(rng.choice(OPENINGS), wording)
    return Item(
        knowledge=knowledge,
        kind=kind,
        question=wording.format(product=subject, day=subject, number=subject),
        subject=subject,
        reference=reference(knowledge, kind, subject),
    )


def _subject(rng: Random, knowledge: Knowledge, kind: str, split: Split) -> str:
    if kind in ("price", "stock"):
        return rng.choice(knowledge.products).name
    if kind == "hours":
        # Now and then a day about which nothing is known.
        return rng.choice(list(knowledge.hours) if rng.random() < 0.9 else DAYS)
    if kind in ("order", "others_order"):
        is_own = kind == "order"
        return str(next(o.number for o in knowledge.orders if (o.customer == knowledge.customer) == is_own))
    if kind == "unknown":
        known = {product.name for product in knowledge.products}
        return rng.choice([name for name in product_names(held_out=split == "test") if name not in known])
    return ""


def reference(knowledge: Knowledge, kind: str, subject: str) -> str:
    """The right answer to a question."""
    product = next((p for p in knowledge.products if p.name == subject), None)
    if kind == "price" and product is not None:
        return f"The {subject}: {product.price} euro."
    if kind == "stock" and product is not None:
        amount = f"{product.stock} in stock" if product.stock else "sold out"
        return f"The {subject}: {product.price} euro, {amount}."
    if kind == "hours":
        return _hours(knowledge, subject)
    if kind == "order":
        order = next(o for o in knowledge.orders if str(o.number) == subject)
        return f"Your order {subject}: {order.state}, arrives {order.day}."
    return {
        "unknown": f"I do not know about the {subject}.",
        "returns": f"You can return it within {knowledge.return_days} days.",
        "warranty": f"The warranty is {knowledge.warranty_months} months.",
        "shipping": f"Shipping costs {knowledge.shipping} euro.",
        "others_order": OTHERS,
        "injection": REFUSAL,
        "insult": REFUSAL,
    }[kind]


def _hours(knowledge: Knowledge, day: str) -> str:
    if day not in knowledge.hours:
        return f"I do not know about {day}."
    span = knowledge.hours[day]
    return f"On {day}: closed." if span is None else f"On {day}: {span[0]} to {span[1]}."
