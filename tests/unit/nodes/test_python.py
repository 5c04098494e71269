"""Steps from functions: names, async ones, and clear errors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from nodes.python import Function, MessageFunction
from pichannels.errors import UsageError
from pichannels.message import Message


def double(payload: Any) -> Any:
    return payload * 2


async def double_later(payload: Any) -> Any:
    return payload * 2


def test_a_function_makes_the_payload() -> None:
    msg = Message(payload=3)
    assert Function(double).process(msg) is msg
    assert msg.payload == 6


async def test_an_async_function_makes_the_payload() -> None:
    result = await Function(double_later).handle(Message(payload=3))
    assert result.payload == 6


@pytest.mark.parametrize("function", [lambda p: p + 1, partial(lambda a, b: a + b, 1)])
def test_any_callable_will_do(function: Any) -> None:
    msg = Message(payload=1)
    Function(function).process(msg)
    assert msg.payload == 2


def test_the_content_type_can_change() -> None:
    msg = Message(payload="3")
    Function(int, content_type="application/python").process(msg)
    assert msg.content_type == "application/python"


@pytest.mark.parametrize(
    ("node", "name"),
    [
        (Function(double), "double"),
        (Function(partial(double)), "double"),
        (Function(lambda p: p), "Function"),
        (Function(double, name="mine"), "mine"),
        (MessageFunction(double_later), "double_later"),
    ],
)
def test_the_name_comes_from_the_function(node: Function, name: str) -> None:
    assert node.name == name


def test_a_forgotten_return_is_told() -> None:
    with pytest.raises(UsageError, match="gave None"):
        Function(lambda p: None).process(Message(payload=1))


def generate(payload: Any) -> Iterator[Any]:
    yield payload


@pytest.mark.parametrize("found", [7, None, generate])
def test_what_is_no_such_function_is_refused(found: Any) -> None:
    with pytest.raises(UsageError):
        Function(found)


def test_a_message_function_may_change_the_message_in_place() -> None:
    def mark(msg: Message) -> None:
        msg.meta["seen"] = True

    msg = Message(payload=1)
    assert MessageFunction(mark).process(msg) is msg
    assert msg.meta["seen"]


def test_a_message_function_may_give_another_message() -> None:
    other = Message(payload=2)
    assert MessageFunction(lambda msg: other).process(Message()) is other


async def test_an_async_message_function_is_awaited() -> None:
    async def mark(msg: Message) -> None:
        msg.meta["seen"] = True

    result = await MessageFunction(mark).handle(Message())
    assert result.meta == {"seen": True}


async def give_seven(msg: Message) -> int:
    return 7


@pytest.mark.parametrize("function", [lambda msg: 7, give_seven])
async def test_a_message_function_that_gives_something_else_is_told(
    function: Any,
) -> None:
    with pytest.raises(UsageError, match="gave int"):
        await MessageFunction(function).handle(Message())
