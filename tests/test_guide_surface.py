"""Everything that pypeman's user guide prints is here, as it is printed.

The table holds each class, method, parameter and default of the guide, and where it
lives.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.node import BaseNode


class Printed(NamedTuple):
    """A class of the guide: its own signature and those of its members."""

    name: str
    home: str
    signature: str
    members: dict[str, str]


STORE_FACTORY = {"get_store": "(store_id)"}
# `OBJECT`, `LOGGER` and `SORTED` stand for what the guide prints as
# `<object object>`, `<logging.Logger object>` and `<built-in function sorted>`.
NAMED: dict[str, Any] = {"OBJECT": object(), "LOGGER": object(), "SORTED": sorted}
GUIDE = [
    Printed(
        "BaseChannel",
        "pichannels.channels",
        "(name=None, parent_channel=None, loop=None, message_store_factory=None)",
        {
            "add": "(*args)",
            "append": "(*args)",
            "case": "(*conditions, names=None, message_store_factory=None)",
            "fork": "(name=None, message_store_factory=None)",
            "get_node": "(name)",
            "graph": "(prefix='', dot=False)",
            "graph_dot": "(end='')",
            "handle": "(msg)",
            "handle_and_wait": "(msg)",
            "is_stopped": "()",
            "process": "(msg)",
            "replay": "(msg_id)",
            "start": "()",
            "status": "property",
            "stop": "()",
            "subhandle": "(msg)",
            "when": "(condition, name=None, message_store_factory=None)",
        },
    ),
    Printed(
        "CronChannel",
        "pichannels.channels.cron",
        "(*args, cron='', **kwargs)",
        {"start": "()"},
    ),
    Printed(
        "HttpChannel",
        "pichannels.channels.http",
        "(*args, endpoint=None, method='*', url='/', encoding=None, **kwargs)",
        {"start": "()"},
    ),
    Printed(
        "FileWatcherChannel",
        "pichannels.channels.files",
        "(*args, basedir='', regex='.*', interval=1, binary_file=False, path='',"
        " **kwargs)",
        {"start": "()"},
    ),
    Printed(
        "FTPWatcherChannel",
        "pichannels.channels.ftp",
        "(*args, host='', port=21, credentials='', basedir='', regex='.*',"
        " interval=60, delete_after=False, encoding='utf-8', thread_pool=None,"
        " sort_function=SORTED, **kwargs)",
        {
            "download_file": "(filename)",
            "get_file_and_process": "(filename)",
            "start": "()",
            "tick": "()",
            "watch_for_file": "()",
        },
    ),
    Printed(
        "MLLPChannel",
        "pichannels.channels.mllp",
        "(*args, endpoint=None, encoding='utf-8', **kwargs)",
        {"start": "()"},
    ),
    Printed(
        "BaseNode",
        "pichannels.node",
        "(*args, name=None, log_output=False, store_output_as=None,"
        " store_input_as=None, passthrough=False, **kwargs)",
        {
            "async_run": "(msg)",
            "fullpath": "()",
            "handle": "(msg)",
            "mock": "(input=None, output=None)",
            "process": "(msg)",
            "restore_data": "(key, default=OBJECT)",
            "run": "(msg)",
            "save_data": "(key, value)",
        },
    ),
    Printed(
        "ThreadNode",
        "pichannels.node",
        "(*args, thread_pool=None, **kwargs)",
        {"run": "(msg)"},
    ),
    Printed(
        "Message",
        "pichannels.message",
        "(content_type='application/text', payload=None, meta=None)",
        {
            "add_context": "(key, msg)",
            "copy": "()",
            "from_dict": "static (data)",
            "from_json": "static (data)",
            "log": "(logger=LOGGER, log_level=10, payload=True, meta=True,"
            " context=False)",
            "renew": "()",
            "timestamp_str": "()",
            "to_dict": "()",
            "to_json": "()",
            "to_print": "(payload=True, meta=True, context=False)",
        },
    ),
    Printed(
        "HTTPEndpoint",
        "pichannels.endpoints.http",
        "(adress=None, address=None, port=None, loop=None, http_args=None, host=None,"
        " sock=None, reuse_port=None)",
        {},
    ),
    Printed(
        "MLLPEndpoint",
        "pichannels.endpoints.mllp",
        "(address=None, port=None, encoding='utf-8', loop=None, host=None, sock=None,"
        " reuse_port=None)",
        {},
    ),
    Printed("MessageStoreFactory", "pichannels.store", "()", STORE_FACTORY),
    Printed(
        "MessageStore",
        "pichannels.store",
        "()",
        {
            "change_message_state": "(id, new_state)",
            "get": "(id)",
            "search": "(start=0, count=10, order_by='timestamp')",
            "start": "()",
            "store": "(msg)",
            "total": "()",
        },
    ),
    Printed("NullMessageStoreFactory", "msgstore.null", "()", STORE_FACTORY),
    Printed("FakeMessageStoreFactory", "msgstore.fake", "()", STORE_FACTORY),
    Printed("MemoryMessageStoreFactory", "msgstore.memory", "()", STORE_FACTORY),
    Printed(
        "FileMessageStoreFactory",
        "msgstore.file",
        "(path)",
        STORE_FACTORY,
    ),
]


def found(printed: Printed) -> Any:
    """The class."""
    return getattr(importlib.import_module(printed.home), printed.name)


def parameters(signature: str) -> list[inspect.Parameter]:
    """The parameters that a printed signature names."""
    (function,) = ast.parse(f"def _{signature}: ...").body
    assert isinstance(function, ast.FunctionDef)
    args = function.args
    missing = [None] * (len(args.args) - len(args.defaults))
    P = inspect.Parameter
    listed = [
        P(arg.arg, P.POSITIONAL_OR_KEYWORD, default=value(default))
        for arg, default in zip(args.args, [*missing, *args.defaults], strict=True)
    ]
    if args.vararg is not None:
        listed.append(P(args.vararg.arg, P.VAR_POSITIONAL))
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        listed.append(P(arg.arg, P.KEYWORD_ONLY, default=value(default)))
    if args.kwarg is not None:
        listed.append(P(args.kwarg.arg, P.VAR_KEYWORD))
    return listed


def value(default: ast.expr | None) -> Any:
    if default is None:
        return inspect.Parameter.empty
    if isinstance(default, ast.Name):
        return NAMED[default.id]
    return ast.literal_eval(default)


def ours(thing: Any) -> list[inspect.Parameter]:
    return [p for p in inspect.signature(thing).parameters.values() if p.name != "self"]


def differences(printed: str, thing: Any) -> Iterator[str]:
    """In words, what a caller who read the guide would stumble over."""
    wanted, have = parameters(printed), ours(thing)
    by_name = {p.name: p for p in have}
    is_positional = not any(p.kind is p.VAR_POSITIONAL for p in wanted)
    for place, p in enumerate(wanted):
        match = by_name.get(p.name)
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            if not any(q.kind is p.kind for q in have):
                yield f"takes no {p}"
        elif match is None:
            yield f"has no parameter {p.name}"
        elif not same_default(p.default, match.default):
            yield f"{p.name} is {match.default!r}, printed {p.default!r}"
        elif is_positional and place < len(have) and have[place].name != p.name:
            yield f"{p.name} is not in place {place}"
    names = [p.name for p in wanted]
    if [p.name for p in have if p.name in names] != names:
        yield "has another order"
    for p in have:
        if p.name not in names and p.default is p.empty and "VAR" not in p.kind.name:
            yield f"asks for {p.name}, which is not printed"


def same_default(printed: Any, found: Any) -> bool:
    if printed is NAMED["OBJECT"]:
        return type(found) is object
    if printed is NAMED["LOGGER"]:
        return isinstance(found, logging.Logger)
    return type(printed) is type(found) and bool(printed == found)


@pytest.mark.parametrize("printed", GUIDE, ids=lambda printed: printed.name)
def test_a_class_takes_what_the_guide_prints(printed: Printed) -> None:
    assert list(differences(printed.signature, found(printed))) == []


@pytest.mark.parametrize(
    ("printed", "member"),
    [(printed, member) for printed in GUIDE for member in printed.members],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_a_member_takes_what_the_guide_prints(printed: Printed, member: str) -> None:
    kind, signature = found(printed), printed.members[member]
    is_static = isinstance(inspect.getattr_static(kind, member), staticmethod)
    assert is_static == signature.startswith("static")
    if signature == "property":
        assert isinstance(inspect.getattr_static(kind, member), property)
    else:
        printed_parameters = signature.removeprefix("static ")
        assert list(differences(printed_parameters, getattr(kind, member))) == []


def test_every_class_and_member_of_the_guide_is_in_the_table() -> None:
    members = sum(len(printed.members) for printed in GUIDE)
    assert (len(GUIDE), members) == (17, 56)


@pytest.mark.parametrize(
    "attribute", ["payload", "meta", "timestamp", "uuid", "content_type", "ctx"]
)
def test_a_message_has_the_attributes_of_the_guide(attribute: str) -> None:
    assert hasattr(Message(), attribute)


@pytest.mark.parametrize("kind", [BaseChannel, BaseNode, Message])
def test_what_the_guide_prints_is_documented(kind: type) -> None:
    printed = next(row for row in GUIDE if row.name == kind.__name__)
    undocumented = [n for n in printed.members if not getattr(kind, n).__doc__]
    assert undocumented == []


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("(msg)", "has no parameter msg"),
        ("(b, a=1)", "has another order"),
        ("(a=2, b=None)", "a is 1, printed 2"),
        ("(a=True, b=None)", "a is 1, printed True"),
        ("(*args, a=1)", "takes no *args"),
        ("(a=1)", "asks for c, which is not printed"),
        ("(b=None)", "b is not in place 0"),
    ],
)
def test_the_comparison_sees_what_differs(signature: str, said: str) -> None:
    def function(a: int = 1, b: object = None, *, c: int) -> None: ...

    assert said in list(differences(signature, function))
