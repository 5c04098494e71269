"""One message: what became of it and why, what it holds, what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import msgspec

from pichannels import codecs
from pichannels.control.masking import HIDDEN
from pichannels.errors import CodecError, UsageError
from pichannels.ui.content import MessageView
from pichannels.ui.guard import API
from pichannels.ui.pages import (
    message_payload,
    message_texts,
    message_way,
    parts,
    replays,
)
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["build"]

_WHY: Final = {
    "dropped": "Why it was dropped",
    "rejected": "Why it was rejected",
    "error": "Why it failed",
}
_FACTS: Final = ("err_msg", "error", "node", "attempts", "stack", "causes")
_ROW: Final = 6


async def build(page: Page) -> None:
    """Adds the message of the address, and its way through the nodes when asked."""
    way = message_way.Way(page)
    _install(page)
    await page.add(partial(_render, page))
    await way.add()


async def _load(page: Page) -> MessageView:
    data, who = page.console.data, await page.current()
    place = page.query.get("at") or None
    return await data.message(who, page.instance, page.query["id"], place)


async def _render(page: Page) -> Markup:
    view = await _load(page)
    title = tag("h2", f"Message {view.id} of {view.channel}")
    away = parts.link(
        page.here(id=None, at=None, view=None),
        parts.icon("close"),
        "Close",
        classes="button quiet",
    )
    state = parts.state_badge(view.state)
    head = tag("div", title, state, away, classes="heading")
    return tag(
        "section",
        head,
        _actions(page, view),
        tag("div", _outcome(page, view), _facts(page, view), classes="columns"),
        await message_payload.payload(page, view),
        classes="card message",
        aria_label=f"message {view.id}",
    )


# What became of it


def _outcome(page: Page, view: MessageView) -> Markup:
    outcome = view.outcome
    node = str(outcome.get("node") or "")
    rows: list[tuple[str, Child]] = []
    if view.state == "processed":
        told = "every sink that it reached has acknowledged it"
        rows.append(("Sinks", told))
    if view.state in _WHY and "err_msg" in outcome:
        rows.append((_WHY[view.state], tag("b", str(outcome["err_msg"]))))
    if outcome.get("error"):
        rows.append(("Exception", str(outcome["error"])))
    if node:
        link = page.href("errors", channel=view.channel, node=node)
        rows.append(("Node", parts.link(link, node)))
    if outcome.get("attempts"):
        rows.append(("Tries", count_text(outcome["attempts"])))
    if "part_of" in outcome:
        part = parts.link(page.here(id=outcome["part_of"]), str(outcome["part_of"]))
        rows.append(("Set aside from", part))
    rows += [
        (name.replace("_", " "), tag("span", message_texts.shown_value(value)))
        for name, value in outcome.items()
        if name not in (*_FACTS, "part_of")
    ]
    shown: list[Child] = [parts.facts(rows)]
    for cause in list(outcome.get("causes") or ())[:_ROW]:
        shown.append(tag("pre", str(cause)))
    if outcome.get("stack"):
        stack = tag("pre", str(outcome["stack"]), classes="stack", tabindex="0")
        shown.append(tag("details", tag("summary", "Stack"), stack))
    return tag("div", *shown)


def _facts(page: Page, view: MessageView) -> Markup:
    message = view.message
    meta: Mapping[str, Any] = message.get("meta") or {}
    rows: list[tuple[str, Child]] = [
        ("Channel", parts.link(page.href("graph", channel=view.channel), view.channel))
    ]
    if "timestamp" in message:
        rows.append(("Made", page.time(str(message["timestamp"]))))
    rows += [
        ("UUID", tag("span", str(message.get("uuid", "")), classes="mono")),
        ("Content type", str(message.get("content_type", ""))),
    ]
    rows += [(name, _fact(page, name, value)) for name, value in meta.items()]
    if page.may(Role.DATA):
        again = page.href("messages", meta=f"replay_of={message.get('uuid', '')}")
        rows.append(("Replays", parts.link(again, "find replays of this message")))
        said = page.href("operations", part="lines", message=message.get("uuid"))
        rows.append(("Log", parts.link(said, "what was logged of this message")))
    return tag("div", parts.facts(rows))


def _fact(page: Page, name: str, value: Any) -> Child:
    text = message_texts.shown_value(value)
    if name in ("edited_from", "part_of") and text.isdecimal():
        return parts.link(page.here(id=text), text)
    return tag("span", text, classes="mono")


# What can be done


def _actions(page: Page, view: MessageView) -> Markup:
    data = {"id": view.id, "at": view.channel}
    download = None
    if page.may(Role.DATA):
        path = f"{API}/instances/{page.instance}/messages/{view.id}"
        download = tag(
            "a",
            "Download",
            href=f"{path}?channel={view.channel}",
            download=f"{view.channel}-{view.id}.json",
            classes="button",
        )
    shown = "dead" if view.state == "error" else "store"
    where = () if shown == "dead" else ("--channel", view.channel)
    return tag(
        "div",
        page.action("Replay from the start", "replay-one", data),
        page.action("Replay from a node, or to a sink", "replay-aimed", data),
        page.action("Edit and resend", "resend", data),
        page.action("Trace through the nodes", "trace", data),
        page.action("Save as test", "save-test", data),
        download,
        page.cli(shown, "show", view.id, *where),
        classes="actions",
    )


def _install(page: Page) -> None:
    page.on("replay-one", partial(_replay, page), Role.OPERATE)
    page.on("replay-aimed", partial(_replay_aimed, page), Role.OPERATE)
    page.on("resend", partial(_resend, page), Role.OPERATE)
    page.on("save-test", partial(_save_test, page), Role.OPERATE)


async def _replay(page: Page, act: Act) -> None:
    id, channel = act.data["id"], act.data["at"]
    question = f"Replay message {id} of {channel}?"
    told = "It runs again from the start of its channel, marked as a replay."
    given = {"ids": [id], "channel": channel}
    copied = replays.command(page, given)
    if await page.dialog.confirm(question, told, copied, verb="Replay"):
        await _run_replay(page, given)


async def _replay_aimed(page: Page, act: Act) -> None:
    id, channel = act.data["id"], act.data["at"]
    title = f"Replay message {id} of {channel}?"
    aim = await replays.where_to(page, channel, title, {"ids": [id]})
    if aim is not None:
        await _run_replay(page, {"ids": [id], "channel": channel, **aim})


async def _run_replay(page: Page, given: dict[str, Any]) -> None:
    report = await page.run("replay", given, "replayed")
    for each in report.get("failures") or ():
        page.toasts.tell(f"message {each['id']}: {each['error']}", "bad")
    if report.get("passed_by"):
        page.toasts.tell("it came to none of these sinks", "warn")


async def _resend(page: Page, act: Act) -> None:
    view = await _load(page)
    message = view.message
    payload = message.get("payload")
    if payload is None:
        raise UsageError("there is no payload that you may see")
    if HIDDEN in message_texts.shown_value(message):
        raise UsageError("parts of it are masked; an administrator may do this")
    text = message_texts.editable(payload)
    meta = {**(message.get("meta") or {}), "edited_from": view.id}
    fields = [
        _area("payload", "Payload", text),
        _area("meta", "Metadata", message_texts.decoded(meta)),
        parts.text_field("content_type", "Content type", message["content_type"]),
        parts.note(f"goes to {view.channel} as a message of its own, as edited here"),
    ]
    asked = await page.dialog.ask("Edit and resend", *fields, verb="Send", wide=True)
    if asked is None:
        return
    sent = str(asked.fields.get("payload") or "")
    made = msgspec.json.encode(message_texts.edited(payload, sent))
    given = {
        "channel": view.channel,
        "payload": codecs.decode_json(made),
        "meta": _json("metadata", asked.text("meta") or "{}"),
        "content_type": asked.text("content_type"),
    }
    await page.run("inject", given, f"sent to {view.channel}")


def _area(name: str, label: str, text: str) -> Markup:
    area = tag("textarea", text, name=name, rows="10", spellcheck="false")
    return tag("label", tag("span", label), area, classes="field")


def _json(name: str, text: str) -> Any:
    try:
        return codecs.decode_json(text)
    except CodecError as exc:
        raise UsageError(f"the {name} is no JSON: {exc}") from exc


async def _save_test(page: Page, act: Act) -> None:
    id, channel = act.data["id"], act.data["at"]
    flag = {"flag": "--replace"}
    box = tag("input", type="checkbox", name="replace", data=flag)
    told = tag(
        "p",
        "It runs once more through a copy of the channel; sinks are not asked. The"
        " test, the message and what came out are written into the folder tests of the"
        " project.",
    )
    again = tag("label", box, " replace what exists")
    copied = page.cli("store", "test", channel, id)
    asked = await page.dialog.ask(
        f"Save message {id} as a test?", told, again, copied, verb="Save"
    )
    if asked is None:
        return
    page.toasts.tell("the message runs once more", "busy")
    found = await page.console.tracer.save_as_test(
        await page.current(),
        page.instance,
        channel,
        id,
        replace=asked.text("replace") == "on",
    )
    page.toasts.tell(f"{found.test} asks for: {found.state}")
