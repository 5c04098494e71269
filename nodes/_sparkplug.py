"""decode.Sparkplug: messages of Sparkplug B to samples."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator
from typing import Any, ClassVar, Final, NamedTuple

from nodes._batches import SAMPLES, is_batch, printable
from pichannels.adapters.sparkplug import Metric, Payload, Sparkplug as Reader
from pichannels.errors import DecodeError, Dropped, SampleErrors
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, Tag, number_identical

__all__ = ["Sparkplug"]

logger: Final = logging.getLogger("pichannels.nodes")

_NAMESPACE: Final = "spBv1.0"
_BIRTHS: Final = ("NBIRTH", "DBIRTH")
_DEATHS: Final = ("NDEATH", "DDEATH")
_KINDS: Final = (*_BIRTHS, *_DEATHS, "NDATA", "DDATA")
_NUMBERED: Final = frozenset(_KINDS) - {"NDEATH"}
_BDSEQ: Final = "bdSeq"
_GOOD: Final = 192
_SEQUENCE: Final = 256


class _Topic(NamedTuple):
    """What a topic says: `spBv1.0/GROUP/KIND/NODE[/DEVICE]`."""

    group: str
    kind: str
    node: str
    device: str = ""


class _Key(NamedTuple):
    """Which metric of an edge node; its own have no device."""

    device: str
    name: str


class _Known:
    """What a birth has said of a metric, and its last value."""

    __slots__ = ("datatype", "tag", "value")

    def __init__(self, tag: Tag, datatype: int, value: Any) -> None:
        self.tag = tag
        self.datatype = datatype
        self.value = value


class _EdgeNode:
    """What is known of an edge node and its devices."""

    def __init__(self) -> None:
        self.seq: int | None = None
        self.bdseq: int | None = None
        self.metrics: dict[_Key, _Known] = {}
        self.aliases: dict[int, _Key] = {}

    def of(self, device: str) -> list[_Known]:
        """What is known of a device; of the node with all devices where it is none."""
        return [
            known for key, known in self.metrics.items() if device in ("", key.device)
        ]

    def forget(self, device: str) -> None:
        """The device, or the node, is born again."""
        stays = {key for key in self.metrics if device not in ("", key.device)}
        self.metrics = {
            key: known for key, known in self.metrics.items() if key in stays
        }
        self.aliases = {
            alias: key for alias, key in self.aliases.items() if key in stays
        }

    def plain(self) -> dict[str, Any]:
        """What is to be kept over a restart."""
        aliases = {key: alias for alias, key in self.aliases.items()}
        return {
            "bdseq": self.bdseq,
            "metrics": [
                [*key, known.datatype, known.tag.units, aliases.get(key), known.value]
                for key, known in self.metrics.items()
            ],
        }


class Sparkplug(BaseNode):
    """Messages of Sparkplug B, as an MQTT channel gives them, to samples.

    A tag is named `group/node/metric`, or `group/node/device/metric`. Births tell the
    types and the aliases of metrics; they are kept over a restart. Metrics with the
    property `Quality` are good at 192; `engUnit` is the unit. A value that is null is
    bad. When a node or device dies, each of its metrics gets a bad sample with its last
    value. `meta["sparkplug"]` says what came: `kind`, `group`, `node`, `device`, `seq`.

    Messages are numbered; where some are missing, or an alias is not known,
    `meta["rebirth_needed"]` is true: what the node knows may be wrong until the edge
    node is born again. Commands and states of hosts are dropped, and so is the death
    of a session that is over already.

    Args:
        server: the configured name of the logical server, a part of each event id.
        options: those of every node.

    Raises:
        DecodeError: the payload or the topic is none of Sparkplug; fails this message
            only.
        SampleErrors: some metrics are not known or not of their type; the others go on.
        SettingsError: protobuf is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "meta", "payload"})

    def __init__(self, server: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.server = server
        self._reader = Reader()
        self._nodes: dict[str, _EdgeNode] = {}
        self.gaps = 0
        self.unknown = 0

    def statistics(self) -> dict[str, int]:
        """Edge nodes that are known, gaps in their numbers, unknown metrics."""
        return {
            "edge_nodes": len(self._nodes),
            "gaps": self.gaps,
            "unknown": self.unknown,
        }

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        if is_batch(msg.payload):
            return msg
        topic = _topic(msg.meta.get("topic"))
        name = f"{topic.group}/{topic.node}"
        if name not in self._nodes:
            return self._restored(msg, topic, name)
        return self._decoded(msg, topic, self._nodes[name])

    async def _restored(self, msg: Message, topic: _Topic, name: str) -> Message:
        kept = await self.restore_data(name, None)
        node = self._nodes.setdefault(name, _EdgeNode())
        if isinstance(kept, dict) and not node.metrics:
            self._remember(topic, node, kept)
        return self._decoded(msg, topic, node)

    def _remember(self, topic: _Topic, node: _EdgeNode, kept: dict[str, Any]) -> None:
        node.bdseq = kept["bdseq"]
        for device, name, datatype, units, alias, value in kept["metrics"]:
            key = _Key(device, name)
            node.metrics[key] = _Known(self._tag(topic, key, units), datatype, value)
            if alias is not None:
                node.aliases[alias] = key

    def _tag(self, topic: _Topic, key: _Key, units: str) -> Tag:
        path = "/".join(filter(None, (topic.group, topic.node, *key)))
        return Tag(path, path, server=self.server, units=units)

    def _decoded(self, msg: Message, topic: _Topic, node: _EdgeNode) -> Message:
        if not isinstance(msg.payload, bytes):
            found = type(msg.payload).__name__
            raise DecodeError("a Sparkplug payload", f"the payload is {found}")
        payload = self._reader.read(msg.payload)
        if topic.kind == "NDEATH" and _bdseq(payload) != node.bdseq:
            raise Dropped("the death of a session that is over already")
        self._check_sequence(msg, topic, node, payload)
        failures: dict[str, BaseException | str] = {}
        samples = [*self._samples(msg, topic, node, payload, failures)]
        if topic.kind in _BIRTHS:
            self.save_data(f"{topic.group}/{topic.node}", node.plain())
        msg.meta["sparkplug"] = topic._asdict() | {"seq": payload.seq}
        if not samples:
            raise SampleErrors(failures) if failures else Dropped("no metrics")
        msg.payload = number_identical(samples)
        msg.content_type = SAMPLES
        if failures:
            raise SampleErrors(failures, msg)
        return msg

    # Sequence

    def _check_sequence(
        self, msg: Message, topic: _Topic, node: _EdgeNode, payload: Payload
    ) -> None:
        if topic.kind == "NBIRTH":
            node.forget("")
            node.bdseq = _bdseq(payload)
        elif topic.kind == "DBIRTH":
            node.forget(topic.device)
        # What is sent again says nothing of what comes now.
        is_again = msg.meta.get("lane") == "replay" or msg.meta.get("duplicate")
        if topic.kind not in _NUMBERED or payload.seq is None or is_again:
            return
        last, node.seq = node.seq, payload.seq
        if topic.kind == "NBIRTH" or last is None:
            return
        if payload.seq != (last + 1) % _SEQUENCE:
            self.gaps += 1
            why = f"{payload.seq} came after {last}"
            self._tell(msg, topic, why)

    def _tell(self, msg: Message, topic: _Topic, why: str) -> None:
        if "rebirth_needed" not in msg.meta:
            logger.warning(
                "%s: %s/%s: %s; a rebirth is needed",
                self.fullpath(),
                printable(topic.group),
                printable(topic.node),
                why,
            )
        msg.meta["rebirth_needed"] = True

    # Metrics

    def _samples(
        self,
        msg: Message,
        topic: _Topic,
        node: _EdgeNode,
        payload: Payload,
        failures: dict[str, BaseException | str],
    ) -> Iterator[Sample]:
        if topic.kind in _DEATHS:
            # The message of a node was written when it connected.
            is_device = topic.kind == "DDEATH" and payload.ticks is not None
            ticks = payload.ticks if is_device else msg.ticks
            for known in node.of(topic.device):
                yield Sample(known.tag, ticks or msg.ticks, known.value, good=False)
            return
        when = msg.ticks if payload.ticks is None else payload.ticks
        for index, metric in enumerate(payload.metrics):
            if metric.name == _BDSEQ:
                continue
            try:
                yield self._sample(topic, node, metric, when)
            except DecodeError as exc:
                name = metric.name or f"alias {metric.alias}"
                failures[printable(f"[{index}] {name}")] = exc
                if isinstance(exc, _Unknown):
                    self._tell(msg, topic, exc.reason)

    def _sample(
        self, topic: _Topic, node: _EdgeNode, metric: Metric, when: int
    ) -> Sample:
        known = self._known(topic, node, metric)
        value = None
        if not metric.is_null:
            value = self._reader.value(metric.raw, metric.datatype or known.datatype)
        if not metric.is_historical:
            known.value = value
        quality = metric.properties.get("Quality", _GOOD)
        ticks = when if metric.ticks is None else metric.ticks
        is_good = quality == _GOOD and not metric.is_null
        return Sample(known.tag, ticks, value, good=is_good)

    def _known(self, topic: _Topic, node: _EdgeNode, metric: Metric) -> _Known:
        key: _Key | None = None
        if metric.name:
            key = _Key(topic.device, metric.name)
        elif metric.alias is not None:
            key = node.aliases.get(metric.alias)
        known = node.metrics.get(key) if key else None
        if key and metric.datatype and (known is None or topic.kind in _BIRTHS):
            units = str(metric.properties.get("engUnit") or "")
            known = _Known(self._tag(topic, key, units), metric.datatype, None)
            node.metrics[key] = known
        if key is None or known is None:
            self.unknown += 1
            name = metric.name or f"with alias {metric.alias}"
            raise _Unknown(f"no birth has told of metric {name}")
        if metric.name and metric.alias is not None:
            node.aliases[metric.alias] = key
        return known


class _Unknown(DecodeError):
    """A metric of which no birth has told."""

    def __init__(self, reason: str) -> None:
        super().__init__("a Sparkplug metric", reason)


def _topic(found: Any) -> _Topic:
    parts = found.split("/") if isinstance(found, str) else []
    if len(parts) >= 2 and parts[0] == _NAMESPACE and parts[1] == "STATE":
        raise Dropped("the state of a host")
    if not 4 <= len(parts) <= 5 or parts[0] != _NAMESPACE:
        shown = printable(str(found))
        raise DecodeError("a Sparkplug message", f"the topic is {shown}")
    topic = _Topic(*parts[1:])
    if topic.kind in ("NCMD", "DCMD"):
        raise Dropped("a command")
    if topic.kind not in _KINDS or (topic.kind[0] == "D") != bool(topic.device):
        raise DecodeError("a Sparkplug message", f"the topic is {printable(found)}")
    return topic


def _bdseq(payload: Payload) -> int | None:
    """The number of the session."""
    for metric in payload.metrics:
        if metric.name == _BDSEQ and isinstance(metric.raw, int):
            return metric.raw
    return None
