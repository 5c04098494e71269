"""What the user guide says, as a project of pypeman's writes it; prints what happens.

    python guide_script.py pypeman
    python guide_script.py pichannels.pypeman

The modules of the package that is named are used, so that both can be compared line by
line.
"""

from __future__ import annotations

import asyncio
import datetime
import sys
import tempfile
from importlib import import_module
from typing import Any

BASE = sys.argv[1]
channels: Any = import_module(f"{BASE}.channels")
message: Any = import_module(f"{BASE}.message")
msgstore: Any = import_module(f"{BASE}.msgstore")
nodes: Any = import_module(f"{BASE}.nodes")
exceptions: Any = import_module(f"{BASE}.exceptions")
events: Any = import_module(f"{BASE}.events")
Message = message.Message


class Add(nodes.BaseNode):  # type: ignore[misc]
    def __init__(self, text: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.text = text

    def process(self, msg: Any) -> Any:
        msg.payload = f"{msg.payload}{self.text}"
        return msg


class AsyncAdd(Add):
    async def process(self, msg: Any) -> Any:
        await asyncio.sleep(0)
        msg.payload = f"{msg.payload}{self.text}"
        return msg


class Slow(nodes.ThreadNode):  # type: ignore[misc]
    def process(self, msg: Any) -> Any:
        msg.payload = f"{msg.payload}!"
        return msg


class Each(nodes.BaseNode):  # type: ignore[misc]
    def process(self, msg: Any) -> Any:
        for part in msg.payload.split(","):
            new = msg.renew()
            new.payload = part
            yield new


class Count(nodes.BaseNode):  # type: ignore[misc]
    async def process(self, msg: Any) -> Any:
        count = await self.restore_data("count", default=0) + 1
        await self.save_data("count", count)
        msg.payload = count
        return msg


class Seen(nodes.BaseNode):  # type: ignore[misc]
    """Notes what comes."""

    def __init__(self, log: list[Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log = log

    def process(self, msg: Any) -> Any:
        self.log.append(msg.payload)
        return msg


def show(what: str, *found: Any) -> None:
    print(what, *(repr(each) for each in found))  # noqa: T201


def text(payload: Any = "a") -> Any:
    return Message(payload=payload)


async def started(channel: Any) -> Any:
    """Start it with its sub-channels, which have to be started by themselves."""
    for each in channels.all_channels:
        if each.is_stopped() and each.name.partition(".")[0] == channel.name:
            await each.start()
    return channel


async def outcome(channel: Any, msg: Any) -> str:
    """What the channel gives, or the name of what it raises."""
    try:
        return repr((await channel.handle(msg)).payload)
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"


async def steps() -> None:
    channel = channels.BaseChannel(name="steps")
    channel.add(Add("b"), [AsyncAdd("c"), None, (Slow(),)])
    await started(channel)
    msg = text()
    show("steps", (await channel.handle(msg)).payload, msg.payload)
    show("status", channel.is_stopped(), str(channel.name))
    await channel.stop()
    show("stopped", channel.is_stopped(), await outcome(channel, text()))


async def options() -> None:
    channel = channels.BaseChannel(name="options")
    channel.add(
        Add("b", name="first", store_output_as="after", store_input_as="before"),
        Add("c", name="second", passthrough=True),
        nodes.SetCtx("before"),
    )
    await started(channel)
    result = await channel.handle(text())
    show("options", result.payload, sorted(result.ctx), result.ctx["after"]["payload"])
    show("names", channel.get_node("second").fullpath(), channel.get_node("none"))
    show("processed", channel.get_node("first").processed)


async def forks() -> None:
    log: list[Any] = []
    channel = channels.BaseChannel(name="forks", wait_subchans=True)
    channel.add(Add("b"))
    fork = channel.fork(name="beside")
    fork.add(Add("-fork"), Seen(log))
    channel.add(Add("c"), Seen(log))
    await started(channel)
    show("fork", (await channel.handle(text())).payload, sorted(log), fork.name)


async def whens() -> None:
    log: list[Any] = []
    channel = channels.BaseChannel(name="whens")
    branch = channel.when(lambda msg: msg.payload == "yes", name="branch")
    branch.add(Add("-when"), Seen(log))
    channel.add(Add("-main"))
    await started(channel)
    show("when false", await outcome(channel, text("no")), log)
    show("when true", await outcome(channel, text("yes")), log)


async def cases() -> None:
    log: list[Any] = []
    channel = channels.BaseChannel(name="cases")
    one, two = channel.case(
        lambda msg: msg.payload == "1", lambda msg: msg.payload == "2", names=["i", "j"]
    )
    one.add(Add("-one"))
    two.add(Add("-two"))
    channel.add(Seen(log), Add("-after", name="after"))
    await started(channel)
    for payload in ("1", "2", "3"):
        show("case", await outcome(channel, text(payload)))
    show("case log", log)


async def errors() -> None:
    for kind in ("RaiseError", "Drop", "Reject"):
        channel = channels.BaseChannel(name=f"error {kind}")
        channel.add(Add("b"), getattr(nodes, kind)(), Add("c"))
        await started(channel)
        show(kind, await outcome(channel, text()))


async def endings() -> None:
    for kind in ("Pass", "RaiseError", "Drop", "Reject"):
        log: list[Any] = []
        channel = channels.BaseChannel(name=f"ending {kind}")
        channel.add_init_nodes(Add("0"))
        channel.add(Add("1"))
        if kind != "Pass":
            channel.add(getattr(nodes, kind)())
        for when in ("join", "drop", "reject", "fail", "final"):
            add = getattr(channel, f"add_{when}_nodes")
            add(Add(f"-{when}"), Seen(log))
        await started(channel)
        show("endings", kind, await outcome(channel, text()), log)


async def generators() -> None:
    log: list[Any] = []
    channel = channels.BaseChannel(name="generators")
    channel.add(Each(), Add("x"), Seen(log))
    await started(channel)
    show("generator", await outcome(channel, text("a,b,c")), log)


async def stores() -> None:
    factories = [
        msgstore.MemoryMessageStoreFactory(),
        msgstore.FileMessageStoreFactory(tempfile.mkdtemp()),
    ]
    for number, factory in enumerate(factories):
        channel = channels.BaseChannel(
            name=f"store{number}", message_store_factory=factory
        )
        channel.add(Add("b"))
        branch = channel.when(lambda msg: msg.payload == "badb", name=f"bad{number}")
        branch.add(nodes.Reject())
        await started(channel)
        for payload in ("a", "bad", "c"):
            await outcome(channel, text(payload))
        store = channel.message_store
        found = await store.search(count=10)
        show("total", await store.total())
        show("search", [(e["state"], e["message"].payload) for e in found])
        found = await store.search(count=10, text="ba")
        show("text", [e["message"].payload for e in found])
        found = await store.search(order_by="-timestamp", count=2)
        show("newest", [e["message"].payload for e in found])
        found = await store.search(count=2, start_id=found[-1]["id"])
        show("after", [e["message"].payload for e in found])
        one = (await store.search(count=1))[0]
        await store.change_message_state(one["id"], "error")
        show("changed", (await store.get(one["id"]))["state"])
        show("replay", (await channel.replay(one["id"])).payload, await store.total())


async def persistence() -> None:
    channel = channels.BaseChannel(name="persistence")
    channel.add(Count(name="count"))
    await started(channel)
    show("kept", [(await channel.handle(text())).payload for _ in range(3)])


async def builtin() -> None:
    makers: list[tuple[Any, Any]] = [
        (lambda: nodes.JsonToPython(), '{"a": 1}'),
        (lambda: nodes.PythonToJson(), {"a": [1, 2]}),
        (lambda: nodes.PythonToJson(indent=2), {"a": 1}),
        (lambda: nodes.Encode(), "é"),
        (lambda: nodes.Decode(), b"\xc3\xa9"),
        (lambda: nodes.Encode(encoding="latin-1"), "é"),
        (lambda: nodes.B64Encode(), b"abc"),
        (lambda: nodes.B64Decode(), b"YWJj"),
        (lambda: nodes.Empty(), "x"),
        (lambda: nodes.Sleep(duration=0), "x"),
        (lambda: nodes.Log(), "x"),
        (lambda: nodes.YielderNode(), ["x", "y"]),
        (lambda: nodes.YielderNode(), 5),
        (lambda: nodes.FuncNode(str.upper), "x"),
        (lambda: nodes.XMLToPython(), "<a><b>1</b></a>"),
        (lambda: nodes.PythonToXML(), {"a": {"b": "1"}}),
        (lambda: nodes.CSVstr2Python(), "a,b\n1,2"),
        (lambda: nodes.CSVstr2Python(to_dict=True), "a,b\n1,2"),
        (lambda: nodes.Python2CSVstr(header=True), [{"a": 1, "b": "x"}]),
    ]
    for make, payload in makers:
        node = make()
        channel = channels.BaseChannel(name=f"builtin {id(node)}")
        channel.add(node)
        await started(channel)
        show(type(node).__name__, await outcome(channel, text(payload)))


async def files() -> None:
    folder = tempfile.mkdtemp()
    channel = channels.BaseChannel(name="files")
    channel.add(nodes.FileWriter(filepath=f"{folder}/out.txt"), nodes.Empty())
    channel.add(nodes.FileReader(filepath=f"{folder}/out.txt"))
    await started(channel)
    result = await channel.handle(text("written"))
    show("files", result.payload, result.meta["filename"])


async def states() -> None:
    log: list[Any] = []

    @events.channel_change_state.receiver  # type: ignore[untyped-decorator]
    async def note(channel: Any, old_state: Any, new_state: Any) -> None:
        if channel.name == "states":
            names = channels.BaseChannel.STATE_NAMES
            log.append((names[old_state], names[new_state]))

    channel = await started(channels.BaseChannel(name="states"))
    await channel.stop()
    await asyncio.sleep(0.05)
    show("states", log[0], log[-1])


def messages() -> None:
    msg = Message(content_type="text/x", payload={"a": 1}, meta={"m": "v"})
    msg.add_context("before", msg)
    copy, new = msg.copy(), msg.renew()
    show("copy", copy.uuid == msg.uuid, copy.payload is msg.payload, copy.payload)
    show("renew", new.uuid == msg.uuid, new.ctx["before"])
    back = Message.from_json(msg.to_json())
    show("json", back.payload, back.meta, back.uuid == msg.uuid)
    back = Message.from_dict(msg.to_dict())
    show("dict", back.payload, back.meta, sorted(back.ctx))
    show("when", isinstance(msg.timestamp, datetime.datetime))
    show("str", str(msg) == f"<msg: {msg.uuid}>")


def registry() -> None:
    channel = channels.BaseChannel(name="known")
    channel.add(Add("b", name="known node"))
    show("registry", channels.get_channel("known") is channel)
    show("nothing", channels.get_channel("unknown"))
    show("found", nodes.find_node("known*").name)


async def mocks() -> None:
    channel = channels.BaseChannel(name="mocks")
    channel.add(Add("b", name="one"), Add("c", name="two"))
    await started(channel)
    channel._reset_test()
    node = channel.get_node("one")
    node.mock(output=text("mocked"))
    show("mock", await outcome(channel, text()))
    two = channel.get_node("two")
    show("last", two.last_input().payload, two.processed)
    channel._reset_test()
    channel.get_node("two").mock(input=text("given"))
    show("mock", await outcome(channel, text()))


async def main() -> None:
    for part in (steps, options, forks, whens, cases, errors, endings, generators):
        await part()
    for part in (stores, persistence, builtin, files, states, mocks):
        await part()
    messages()
    registry()


if __name__ == "__main__":
    asyncio.run(main())
