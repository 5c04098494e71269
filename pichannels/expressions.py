"""Conditions as text: small expressions that can do nothing but tell.

An expression such as `good and value > 80` or `matches(tag.name, 'UNIT1.*')` is read
with Python's own grammar, and only what is listed here is understood: comparisons,
`and`, `or`, `not`, `in`, arithmetic with numbers, the names of the subject, parts of
its payload and meta, and a few functions. Nothing is run that is not listed.

What is missing (`meta['x']` without an x) is None. A digital state is compared by
its name: `value == 'RUNNING'`. Other than that, a comparison or a calculation with
something of a wrong kind is an error and costs that sample or message alone.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from fnmatch import translate
from operator import attrgetter
from typing import Any, Final, Literal, NoReturn

from pichannels.errors import MessageError, SettingsError, nearest
from pichannels.fingerprint import Defined
from pichannels.values import DigitalState

__all__ = ["Expression", "Subject", "names_of", "parse_expression"]

Subject = Literal["message", "sample"]
Getter = Callable[[Any], Any]

_LONGEST: Final = 1000
_DEEPEST: Final = 50
_ALLOWED_FORMS: Final = (
    "names, numbers, texts, lists, comparisons, and, or, not, in, + - * / // %,"
    " parts such as meta['lane'], and the functions abs, len, lower, upper, matches"
)
_WORDS: Final[dict[type[ast.AST], str]] = {
    ast.Attribute: "a name of this kind",
    ast.Await: "await",
    ast.BitAnd: "& (write `and`)",
    ast.BitOr: "| (write `or`)",
    ast.BitXor: "^",
    ast.Constant: "a value of this kind",
    ast.Dict: "a dictionary",
    ast.DictComp: "a loop",
    ast.FormattedValue: "an f-string",
    ast.GeneratorExp: "a loop",
    ast.IfExp: "if ... else",
    ast.Invert: "~ (write `not`)",
    ast.JoinedStr: "an f-string",
    ast.LShift: "<<",
    ast.Lambda: "lambda",
    ast.ListComp: "a loop",
    ast.MatMult: "@",
    ast.NamedExpr: "an assignment",
    ast.Pow: "the power **",
    ast.RShift: ">>",
    ast.SetComp: "a loop",
    ast.Slice: "a slice",
    ast.Starred: "*",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
}


class Expression(Defined):
    """A condition in text; call it with its subject.

    Args:
        text: as it is written.
        subject: what it is about: a `sample` or a `message`.

    Attributes:
        names: the names of the subject that it asks for.
        is_constant: whether its result depends on nothing.

    Raises:
        SettingsError: it is none, or uses something that is not allowed; tells
            what, where, and the nearest name that is known.
    """

    def __init__(self, text: str, subject: Subject) -> None:
        reader = _Reader(text, subject)
        self._evaluate = reader.read(_parsed(text))
        self.text = self.__name__ = text
        self.subject = subject
        self.names = frozenset(reader.names)
        self.is_constant = not self.names

    def __call__(self, subject: Any) -> Any:
        """What it gives for a sample or message.

        Raises:
            MessageError: it cannot be told, such as for a state that is no number.
        """
        try:
            return self._evaluate(subject)
        except Exception as exc:
            raise MessageError(f"{self.text!r} cannot be told: {exc}") from exc

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Expression)
            and (self.text, self.subject) == (other.text, other.subject)
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.text, self.subject))

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"


def parse_expression(text: str, subject: Subject) -> Expression:
    """Read an expression about a sample or a message.

    Raises:
        SettingsError: as for `Expression`.
    """
    return Expression(text, subject)


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise SettingsError(
            f"this expression has {len(text)} characters; write a function in Python",
            allowed=f"{_LONGEST} characters",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as exc:
        _refuse(text, f"this is no expression: {exc.msg}")
    except (ValueError, MemoryError, RecursionError) as exc:
        _refuse(text, "this is no expression", exc)


def names_of(subject: Subject) -> list[str]:
    """The names that an expression about this subject may use."""
    return sorted(_NAMES[subject])


def _refuse(
    text: str, problem: str, cause: BaseException | None = None, **facts: str
) -> NoReturn:
    raise SettingsError(problem, found=text, **facts) from cause


# What there is to ask for


def _kind_test(*kinds: type) -> Getter:
    return lambda sample: type(sample.value) in kinds


def _of_state(field: str) -> Getter:
    def get(sample: Any) -> Any:
        value = sample.value
        return getattr(value, field) if type(value) is DigitalState else None

    return get


_NAMES: Final[dict[Subject, dict[str, Getter]]] = {
    "sample": {
        **{
            name: attrgetter(name)
            for name in (
                *("value", "good", "questionable", "substituted", "annotated"),
                *("units", "is_system", "ticks", "iso", "tag.name", "tag.path"),
                *("tag.server", "tag.key", "tag.units", "tag.web_id"),
            )
        },
        "is_number": _kind_test(int, float),
        "is_state": _kind_test(DigitalState),
        "is_text": _kind_test(str),
        "state": _of_state("name"),
        "code": _of_state("code"),
    },
    "message": {
        name: attrgetter(name) for name in ("payload", "meta", "content_type", "uuid")
    },
}


class _Wrong(Exception):
    """The expression cannot be told for this subject; the words say why."""


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if type(value) is DigitalState:
        return f"the state {value.name!r}"
    return (
        f"{value!r}" if isinstance(value, str | int | float) else type(value).__name__
    )


def _number(value: Any) -> Any:
    if type(value) in (int, float):
        return value
    raise _Wrong(f"{_shown(value)} is no number")


def _text(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, str):
        return value
    raise _Wrong(f"{_shown(value)} is no text")


def _plain(value: Any) -> Any:
    """A digital state stands for its name."""
    return value.name if type(value) is DigitalState else value


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def apply(left: Any, right: Any) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return compare(left, right)
        return compare(_number(left), _number(right))

    return apply


def _is_in(left: Any, right: Any) -> bool:
    left = _plain(left)
    if isinstance(right, str | DigitalState):
        return _text(left) in _text(right)
    if isinstance(right, list | tuple | set | frozenset | Mapping):
        return left in right if isinstance(right, Mapping) else _has(right, left)
    raise _Wrong(f"{_shown(right)} holds nothing")


def _has(items: Any, wanted: Any) -> bool:
    return any(_plain(item) == wanted for item in items)


_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: lambda left, right: _plain(left) == _plain(right),
    ast.NotEq: lambda left, right: _plain(left) != _plain(right),
    ast.Lt: _ordered(operator.lt),
    ast.LtE: _ordered(operator.le),
    ast.Gt: _ordered(operator.gt),
    ast.GtE: _ordered(operator.ge),
    ast.In: _is_in,
    ast.NotIn: lambda left, right: not _is_in(left, right),
    ast.Is: lambda left, right: left is right,
    ast.IsNot: lambda left, right: left is not right,
}
# No power: a few characters of it can keep a processor busy for hours.
_CALCULATE: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _length(value: Any) -> int:
    if isinstance(value, str | bytes | list | tuple | Mapping):
        return len(value)
    raise _Wrong(f"{_shown(value)} has no length")


_FUNCTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "abs": lambda value: abs(_number(value)),
    "len": _length,
    "lower": lambda value: _text(value).lower(),
    "upper": lambda value: _text(value).upper(),
}
_MATCHES: Final = "matches"


def _item(container: Any, key: Any) -> Any:
    if container is None:
        return None
    if isinstance(container, Mapping):
        return container.get(key)
    if isinstance(container, list | tuple) and type(key) is int:
        is_there = -len(container) <= key < len(container)
        return container[key] if is_there else None
    raise _Wrong(f"{_shown(container)} has no part {key!r}")


# Reading


class _Reader:
    """Turns the syntax tree into functions, and refuses what is not listed."""

    def __init__(self, text: str, subject: Subject) -> None:
        self._text = text
        self._known = _NAMES[subject]
        self._subject = subject
        self._depth = 0
        self.names: set[str] = set()

    def read(self, node: ast.expr) -> Getter:
        """A function of the subject."""
        read = _READ.get(type(node))
        if read is None:
            self._refuse(node, f"{_said(node)} cannot be used here")
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(node, "this is nested too deeply")
        try:
            return read(self, node)
        finally:
            self._depth -= 1

    def _refuse(
        self, node: ast.AST, problem: str, allowed: str = _ALLOWED_FORMS
    ) -> NoReturn:
        column = getattr(node, "col_offset", 0) + 1
        raise SettingsError(
            f"{problem}, at column {column}", found=self._text, allowed=allowed
        )

    def constant(self, node: ast.Constant) -> Getter:
        value = node.value
        if value is not None and type(value) not in (bool, int, float, str):
            self._refuse(node, f"{_said(node)} cannot be used here")
        return lambda subject: value

    def name(self, node: ast.Name | ast.Attribute) -> Getter:
        name = _dotted(node)
        if name is None:
            self._refuse(node, f"{_said(node)} cannot be used here")
        found = self._known.get(name)
        if found is None:
            hint = nearest(name, [*self._known, *_FUNCTIONS, _MATCHES])
            self._refuse(
                node,
                f"a {self._subject} has no {name!r}{hint}",
                ", ".join(names_of(self._subject)),
            )
        self.names.add(name)
        return found

    def subscript(self, node: ast.Subscript) -> Getter:
        container, key = self.read(node.value), self.read(node.slice)
        return lambda subject: _item(container(subject), key(subject))

    def several(self, node: ast.List | ast.Tuple | ast.Set) -> Getter:
        items = [self.read(item) for item in node.elts]
        return lambda subject: [item(subject) for item in items]

    def both(self, node: ast.BoolOp) -> Getter:
        parts = [self.read(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return lambda subject: all(part(subject) for part in parts)
        return lambda subject: any(part(subject) for part in parts)

    def unary(self, node: ast.UnaryOp) -> Getter:
        operand = self.read(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda subject: not operand(subject)
        if isinstance(node.op, ast.USub):
            return lambda subject: -_number(operand(subject))
        if isinstance(node.op, ast.UAdd):
            return lambda subject: _number(operand(subject))
        self._refuse(node, f"{_said(node.op)} cannot be used here")

    def binary(self, node: ast.BinOp) -> Getter:
        apply = _CALCULATE.get(type(node.op))
        if apply is None:
            self._refuse(node, f"{_said(node.op)} cannot be used here")
        left, right = self.read(node.left), self.read(node.right)
        return lambda subject: apply(_number(left(subject)), _number(right(subject)))

    def compare(self, node: ast.Compare) -> Getter:
        operands = [self.read(each) for each in (node.left, *node.comparators)]
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.Is | ast.IsNot) and not _is_singleton(right):
                self._refuse(right, "`is` goes with None, True and False; use ==")
        tests = [_COMPARE[type(op)] for op in node.ops]
        if len(tests) == 1:
            (test,), (left, after) = tests, operands
            return lambda subject: test(left(subject), after(subject))
        return lambda subject: _all_hold(tests, operands, subject)

    def call(self, node: ast.Call) -> Getter:
        name = node.func.id if isinstance(node.func, ast.Name) else None
        known = [*_FUNCTIONS, _MATCHES]
        if name not in known:
            hint = nearest(name, known) if name else ""
            said = f"the function {name!r}" if name else "calling this"
            self._refuse(node, f"{said} cannot be used here{hint}", ", ".join(known))
        if node.keywords or len(node.args) != (2 if name == _MATCHES else 1):
            self._refuse(node, f"{name} got a wrong number of arguments", _USES[name])
        if name == _MATCHES:
            return self._matches(*node.args)
        apply, argument = _FUNCTIONS[name], self.read(node.args[0])
        return lambda subject: apply(argument(subject))

    def _matches(self, text: ast.expr, pattern: ast.expr) -> Getter:
        if not (isinstance(pattern, ast.Constant) and isinstance(pattern.value, str)):
            self._refuse(pattern, "the pattern is a text in quotes", _USES[_MATCHES])
        match = re.compile(translate(pattern.value), re.IGNORECASE).match
        read = self.read(text)
        return lambda subject: match(_text(read(subject))) is not None


def _all_hold(tests: list[Any], operands: list[Getter], subject: Any) -> bool:
    left = operands[0](subject)
    for test, operand in zip(tests, operands[1:], strict=True):
        right = operand(subject)
        if not test(left, right):
            return False
        left = right
    return True


def _is_singleton(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (
        node.value is None or isinstance(node.value, bool)
    )


def _dotted(node: ast.expr) -> str | None:
    """`tag.name` as text; None where something else than names is in it."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return None


def _said(node: ast.AST) -> str:
    return _WORDS.get(type(node), f"{type(node).__name__!r}")


_READ: Final[dict[type[ast.expr], Callable[[_Reader, Any], Getter]]] = {
    ast.Constant: _Reader.constant,
    ast.Name: _Reader.name,
    ast.Attribute: _Reader.name,
    ast.Subscript: _Reader.subscript,
    ast.List: _Reader.several,
    ast.Tuple: _Reader.several,
    ast.Set: _Reader.several,
    ast.BoolOp: _Reader.both,
    ast.UnaryOp: _Reader.unary,
    ast.BinOp: _Reader.binary,
    ast.Compare: _Reader.compare,
    ast.Call: _Reader.call,
}
_USES: Final = {
    "abs": "abs(value)",
    "len": "len(payload)",
    "lower": "lower(state)",
    "upper": "upper(state)",
    _MATCHES: "matches(tag.name, 'UNIT1.*')",
}
