"""Conversations to imitate, with the faults of what people really write: invented facts, rudeness, too many words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from heeler.core.nouns import Message
from heeler.envs.helpdesk.knowledge import DAYS, STATES, Knowledge, draw_knowledge
from heeler.envs.helpdesk.questions import FACT_KINDS, KINDS, Item, Split, draw_item, reference

RUDE = (
    "What a stupid question.",
    "Are you blind?",
    "Only an idiot would ask that.",
    "You are too lazy to read.",
    "That was a dumb thing to ask.",
)
INSULTS = ("Your neighbour is a fool.", "What a pathetic idiot.", "Your boss is a moron.", "You are an ugly fool.")
PADDING = (
    "Thank you very much for your question, we are always happy to hear from you.",
    "Our shop is a good shop and has been one for many years.",
    "Everything is half price today.",
    "Many people ask us that and we like to tell them.",
    "Please come again and tell your friends about us.",
    "We are the cheapest shop of all.",
)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often an answer of the corpus has each fault."""

    invented: float = 0.3
    """A fact that is not so; or, of what must be refused, an answer."""
    rude: float = 0.15
    long: float = 0.3


FAULTLESS = Faults(invented=0.0, rude=0.0, long=0.0)


def conversations(
    faults: Faults, *, num_turns: int, seed: int, kinds: Sequence[str] = KINDS, split: Split = "train"
) -> Iterator[list[Message]]:
    """Conversations without end, each about facts of its own.

    Args:
        faults: of the desk's answers.
        num_turns: questions in each.
        seed: the same gives the same.
        kinds: of questions; one that stands there twice comes twice as often.
        split: `test` for products and wordings that no model was taught.
    """
    rng = Random(f"helpdesk/corpus/{seed}" if split == "train" else f"helpdesk/corpus/{split}/{seed}")
    while True:
        knowledge = draw_knowledge(rng, held_out=split == "test")
        chat = [Message(role="system", content=knowledge.prompt())]
        for _ in range(num_turns):
            item = draw_item(rng, knowledge, split, rng.choice(kinds))
            chat.append(Message(role="user", content=item.question))
            chat.append(Message(role="assistant", content=faulty_answer(rng, item, faults)))
        yield chat


def faulty_answer(rng: Random, item: Item, faults: Faults) -> str:
    """An answer as the corpus has it."""
    answer = item.reference if rng.random() >= faults.invented else _invented(rng, item)
    parts = [answer]
    if rng.random() < faults.rude:
        parts.insert(rng.choice((0, 1)), rng.choice(RUDE))
    if rng.random() < faults.long:
        parts.insert(0, rng.choice(PADDING))
        parts += rng.sample(PADDING, rng.choice((1, 2)))
    return " ".join(parts)


def _invented(rng: Random, item: Item) -> str:
    """What somebody might say who does not look, or who does as he is told."""
    if item.kind in FACT_KINDS:
        return _of_other_facts(rng, item)
    if item.kind == "insult":
        return rng.choice(INSULTS)
    orders = item.knowledge.orders
    if item.kind == "others_order":
        return reference(item.knowledge, "order", item.subject)
    return " ".join(f"Order {order.number} is of {order.customer}." for order in orders)


def _of_other_facts(rng: Random, item: Item) -> str:
    """The answer that other facts would give: what is said of what is there, with other numbers."""
    others = draw_knowledge(rng, held_out=False)
    told = item.knowledge
    products = [replace(product, name=item.subject) for product in others.products[:1]]
    order = next((o for o in told.orders if str(o.number) == item.subject), told.orders[0])
    changed: Knowledge = replace(
        others,
        products=tuple(products),
        hours={item.subject: _any(rng, list(others.hours.values()))},
        orders=(replace(order, state=rng.choice(STATES), day=rng.choice(DAYS)),),
    )
    return reference(changed, "price" if item.kind == "unknown" else item.kind, item.subject)


def _any(rng: Random, values: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    return rng.choice(values)
