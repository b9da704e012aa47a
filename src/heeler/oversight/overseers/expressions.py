"""Conditions that a file may state: arithmetic and comparisons of what an overseer sees, and nothing else.

`observation[3] < 0.5 and abs(action[0]) > 0.8` reads one step, or all copies of a world at once: each name stands for
numbers whose last axis is N. What is not in the tables here is refused when the condition is read, so that a file of
rules can compute and cannot act. A number that is none fails, and does not compare as false.

Shape: N steps, or one text.
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from heeler.core.errors import ConfigError, DataError, did_you_mean

NAMES = ("observation", "action", "spent", "step", "text", "prompt")
"""`observation` [O], `action` [A], `spent['energy']`, the run's `step`; of texts `text` and the last message of
`prompt`."""
_MAX_LENGTH = 2000

Reader = Callable[[Mapping[str, Any]], Any]
"""Finds a value among those of a step or a text."""

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _parts(value: Any) -> Any:
    """Numbers of one step each in a row; over a single one there is nothing to be taken."""
    if np.ndim(value) != 2:
        raise TypeError("min, max, sum and norm of one argument take all of observation or action")
    return value


def _least(*values: Any) -> Any:
    return np.min(_parts(values[0]), axis=0) if len(values) == 1 else reduce(np.minimum, values)


def _most(*values: Any) -> Any:
    return np.max(_parts(values[0]), axis=0) if len(values) == 1 else reduce(np.maximum, values)


def _sum(value: Any) -> Any:
    return np.sum(_parts(value), axis=0)


def _norm(value: Any) -> Any:
    return np.linalg.norm(_parts(value), axis=0)


def _length(text: str) -> int:
    return len(text)


def _num_words(text: str) -> int:
    return len(text.split())


def _lower(text: str) -> str:
    return text.lower()


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": np.abs,
    "min": _least,
    "max": _most,
    "sum": _sum,
    "norm": _norm,
    "len": _length,
    "words": _num_words,
    "lower": _lower,
}
_OF_TEXT = ("len", "words", "lower")


class Condition:
    """A condition that was read.

    Args:
        source: such as `max(abs(action)) > 0.9 or spent['energy'] > 40`.
        where: what it is called in messages.

    Raises:
        ConfigError: it is no condition, or holds what conditions may not.
    """

    def __init__(self, source: str, where: str) -> None:
        self.source, self.where = source, where
        if len(source) > _MAX_LENGTH:
            raise ConfigError(f"{where}: a condition has at most {_MAX_LENGTH} characters, got {len(source)}")
        try:
            body = ast.parse(source.strip(), mode="eval").body
            self._check(body)
            self._read = _reader(body)
        except ConfigError:
            raise
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ConfigError(f"{where}: {source!r:.80} is no condition: {error}") from error
        self.reads = {node.id for node in ast.walk(body) if isinstance(node, ast.Name) and node.id in NAMES}
        """Names that it reads."""
        self.parts = frozenset(
            (node.value.id, ast.literal_eval(node.slice))
            for node in ast.walk(body)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
        )
        """Names with the place or key that it reads of them."""

    def holds(self, values: Mapping[str, Any], num: int) -> np.ndarray:
        """[N] bool.

        Args:
            values: of `NAMES`; arrays whose last axis is N, texts, or a mapping of such.
            num: N.

        Raises:
            DataError: something that it reads is not there, is of another kind, or is no number.
        """
        try:
            # What comes of a division by nothing is looked at where it is compared.
            with np.errstate(all="ignore"):
                found = self._read(values)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
            raise DataError(f"{self.where}: {self.source!r} fails: {type(error).__name__}: {error}") from error
        found = np.asarray(found)
        if found.dtype != bool or found.ndim > 1:
            raise DataError(f"{self.where}: {self.source!r} gives {found.dtype} and not yes or no; compare it")
        return found if found.shape == (num,) else np.broadcast_to(found, (num,))

    def _check(self, node: ast.AST) -> None:
        """Refuse whatever `_reader` does not know."""
        below: list[ast.AST] = []
        match node:
            case ast.BoolOp(values=parts):
                below = list(parts)
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
                below = [operand]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                below = [left, right]
            case ast.Compare(left=left, ops=ops, comparators=others):
                for one in ops:
                    if type(one) not in _COMPARE and not isinstance(one, ast.In | ast.NotIn):
                        self._refuse(node)
                below = [left, *others]
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if arguments:
                if name not in _FUNCTIONS:
                    known, near = ", ".join(_FUNCTIONS), did_you_mean(name, _FUNCTIONS)
                    raise ConfigError(f"{self.where}: there is no function {name!r}.{near} There are: {known}")
                below = list(arguments)
            case ast.Subscript(value=value, slice=ast.Constant(value=int() | str())):
                below = [value]
            case ast.Subscript(value=value, slice=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int()))):
                below = [value]
            case ast.Name(id=name):
                if name not in NAMES:
                    known, near = ", ".join(NAMES), did_you_mean(name, NAMES)
                    raise ConfigError(f"{self.where}: there is no {name!r} to read.{near} There are: {known}")
            case ast.Constant(value=bool() | int() | float() | str()):
                return
            case _:
                self._refuse(node)
        for part in below:
            self._check(part)

    def _refuse(self, node: ast.AST) -> Any:
        raise ConfigError(
            f"{self.where}: {ast.unparse(node)!r:.80} may not stand in a condition: it takes numbers, texts, "
            f"{', '.join(NAMES)}, + - * /, comparisons, `in`, and, or, not, and {', '.join(_FUNCTIONS)}"
        )


def _reader(node: ast.AST) -> Reader:
    """What finds the value of a part that `Condition._check` lets through: read once, asked at every step."""
    match node:
        case ast.BoolOp(op=op, values=parts):
            readers, joined = _readers(parts), np.logical_and if isinstance(op, ast.And) else np.logical_or
            return lambda values: reduce(joined, [_yes_or_no(read(values)) for read in readers])
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            read = _reader(operand)
            return lambda values: np.logical_not(_yes_or_no(read(values)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            read = _reader(operand)
            return lambda values: -_number(read(values))
        case ast.UnaryOp(operand=operand):
            read = _reader(operand)
            return lambda values: _number(read(values))
        case ast.BinOp(left=left, op=op, right=right):
            first, second, join = _reader(left), _reader(right), _BINARY[type(op)]
            return lambda values: join(_number(first(values)), _number(second(values)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _comparison(_readers([left, *others]), ops)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            readers, function = _readers(arguments), _FUNCTIONS[name]
            if name in _OF_TEXT:
                return lambda values: function(*(read(values) for read in readers))
            return lambda values: function(*(_number(read(values)) for read in readers))
        case ast.Subscript(value=value, slice=part):
            read, place = _reader(value), ast.literal_eval(part)
            return lambda values: read(values)[place]
        case ast.Name(id=name):
            return lambda values: _known(values, name)
        case ast.Constant(value=value):
            return lambda values: value
        case _:
            raise AssertionError("what _check lets through is known here")


def _readers(nodes: Sequence[ast.AST]) -> list[Reader]:
    return [_reader(node) for node in nodes]


def _comparison(readers: Sequence[Reader], ops: Sequence[ast.cmpop]) -> Reader:
    def compared(values: Mapping[str, Any]) -> Any:
        sides = [read(values) for read in readers]
        return reduce(np.logical_and, [_compared(*each) for each in zip(ops, sides, sides[1:], strict=False)])

    return compared


def _known(values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    if value is None:
        raise KeyError(f"there is no {name} here")
    return value


def _compared(op: ast.cmpop, left: Any, right: Any) -> Any:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(left, str) or not isinstance(right, str):
            raise TypeError("`in` looks for a text in a text")
        return np.bool_((left in right) == isinstance(op, ast.In))
    if isinstance(left, str) or isinstance(right, str):
        if not (isinstance(left, str) and isinstance(right, str) and isinstance(op, ast.Eq | ast.NotEq)):
            raise TypeError("a text is compared with a text, by == or !=")
        return np.bool_(_COMPARE[type(op)](left, right))
    return _COMPARE[type(op)](_known_number(left), _known_number(right))


def _yes_or_no(value: Any) -> np.ndarray:
    found = np.asarray(value)
    if found.dtype != bool:
        raise TypeError("and, or and not take comparisons")
    return found


def _number(value: Any) -> Any:
    found = np.asarray(value)
    if found.dtype.kind not in "iufb":
        raise TypeError(f"expected numbers, got {type(value).__name__}")
    return found


def _known_number(value: Any) -> Any:
    """A number that is compared; whatever is reckoned from one that is none is none itself, and is found here."""
    found = _number(value)
    if found.dtype.kind == "f" and np.isnan(found).any():
        raise ValueError("a number is none (nan)")
    return found
