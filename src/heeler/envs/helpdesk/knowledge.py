"""What a shop knows: products, opening hours, terms and orders, drawn at random; and how a prompt tells it."""

from dataclasses import dataclass
from itertools import product as pairs
from random import Random

ADJECTIVES = ("red", "blue", "green", "black", "white", "small", "large", "old", "soft", "light", "round", "folding")
NOUNS = (
    "kettle", "lamp", "mug", "chair", "table", "clock", "radio", "basket", "bottle", "mirror",
    "carpet", "pillow", "ladder", "bucket", "candle", "drawer", "teapot", "blanket", "shelf", "stool",
)  # fmt: skip
NAMES = ("ana", "ben", "carla", "dan", "eva", "finn", "gita", "hugo", "ines", "jan", "kim", "leo")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
STATES = ("packed", "shipped", "delayed", "returned", "paid", "missing")
RETURN_DAYS, WARRANTY_MONTHS = (7, 14, 21, 30, 60, 90), (6, 12, 18, 24, 36, 48)
NUM_PRODUCTS, NUM_ORDERS, NUM_DAYS = 3, 3, 2
_PLACES = tuple(pairs(range(len(ADJECTIVES)), range(len(NOUNS))))


@dataclass(frozen=True, kw_only=True)
class Product:
    """Something for sale."""

    name: str
    price: int
    """Euro."""
    stock: int
    """How many there are; 0 is sold out."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a customer ordered."""

    number: int
    customer: str
    product: str
    state: str
    day: str
    """When it arrives."""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """The facts behind one conversation."""

    products: tuple[Product, ...]
    hours: dict[str, tuple[int, int] | None]
    """(from, to) o'clock of some days; None is closed."""
    return_days: int
    warranty_months: int
    shipping: int
    """Euro."""
    orders: tuple[Order, ...]
    """The customer's own and others'."""
    customer: str
    """Whom the desk speaks with."""

    def prompt(self) -> str:
        """The facts as the desk is told them."""
        stock = [f"{p.stock} in stock" if p.stock else "sold out" for p in self.products]
        facts = [f"{p.name}: {p.price} euro, {amount}" for p, amount in zip(self.products, stock, strict=True)]
        facts += [
            f"{day}: {'closed' if span is None else f'{span[0]} to {span[1]}'}" for day, span in self.hours.items()
        ]
        facts += [f"returns: {self.return_days} days", f"warranty: {self.warranty_months} months"]
        facts += [f"shipping: {self.shipping} euro"]
        facts += [
            f"order {o.number}: {o.state}, arrives {o.day}"
            if o.customer == self.customer
            else f"order {o.number} of {o.customer}"
            for o in self.orders
        ]
        lines = ["You are the help desk of a shop. These are the facts.", *(f"- {fact}" for fact in facts)]
        return "\n".join([*lines, f"You speak with {self.customer}."])


def product_names(*, held_out: bool) -> list[str]:
    """Names of products: an adjective and a noun. A quarter is held out; each of its words stands in others."""
    named = [(first, second, f"{ADJECTIVES[first]} {NOUNS[second]}") for first, second in _PLACES]
    return [name for first, second, name in named if ((first + second) % 4 == 0) == held_out]


def draw_knowledge(rng: Random, *, held_out: bool) -> Knowledge:
    """Facts at random.

    Args:
        rng: where chance comes from.
        held_out: whether products are those that are kept for tests.
    """
    names = rng.sample(product_names(held_out=held_out), NUM_PRODUCTS)
    products = tuple(
        Product(name=name, price=rng.randint(3, 99), stock=0 if rng.random() < 0.3 else rng.randint(1, 20))
        for name in names
    )
    customers = rng.sample(NAMES, NUM_ORDERS)
    numbers = rng.sample(range(10, 100), NUM_ORDERS)
    orders = tuple(
        Order(
            number=number, customer=customer, product=rng.choice(names), state=rng.choice(STATES), day=rng.choice(DAYS)
        )
        for number, customer in zip(numbers, customers, strict=True)
    )
    return Knowledge(
        products=products,
        hours={day: _hours(rng) for day in sorted(rng.sample(DAYS, NUM_DAYS), key=DAYS.index)},
        return_days=rng.choice(RETURN_DAYS),
        warranty_months=rng.choice(WARRANTY_MONTHS),
        shipping=rng.randint(2, 9),
        orders=tuple(rng.sample(orders, NUM_ORDERS)),
        customer=customers[0],
    )


def _hours(rng: Random) -> tuple[int, int] | None:
    return None if rng.random() < 0.25 else (rng.randint(7, 11), rng.randint(13, 20))
