"""Messages that were kept in `msg.ctx`: kept, taken back, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pichannels.errors import MessageError, SettingsError, nearest
from pichannels.message import Message, isolate
from pichannels.node import BaseNode

__all__ = ["AddCtx", "CombineCtx", "NotKept", "SetCtx", "UseMetaFromCtx"]


class NotKept(MessageError):
    """Nothing was kept in `msg.ctx` under this name."""

    def __init__(self, name: str, kept: Sequence[str]) -> None:
        self.name = name
        told = ", ".join(kept) or "nothing"
        super().__init__(f"ctx has no {name!r}{nearest(name, kept)}; it has {told}")


def _kept(msg: Message, name: str) -> dict[str, Any]:
    try:
        return msg.ctx[name]
    except KeyError as exc:
        raise NotKept(name, list(msg.ctx)) from exc


class AddCtx(BaseNode):
    """Keep payload and meta in `msg.ctx`; `SetCtx` takes them back.

    Args:
        ctx_name: the name to keep them under.
        options: those of every node.
    """

    changes: ClassVar = frozenset({"ctx"})

    def __init__(self, ctx_name: str, **options: Any) -> None:
        super().__init__(**options)
        self.ctx_name = ctx_name

    def process(self, msg: Message) -> Message:
        msg.add_context(self.ctx_name, msg)
        return msg


class SetCtx(BaseNode):
    """Payload and meta as they were kept in `msg.ctx`.

    Args:
        ctx_name: the name that they were kept under, by `store_input_as`,
            `store_output_as` or `AddCtx`.
        options: those of every node.

    Raises:
        NotKept: nothing was; fails this message only.
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(self, ctx_name: str, **options: Any) -> None:
        super().__init__(**options)
        self.ctx_name = ctx_name

    def process(self, msg: Message) -> Message:
        kept = _kept(msg, self.ctx_name)
        msg.meta = isolate(kept["meta"])
        msg.payload = isolate(kept["payload"])
        return msg


class CombineCtx(BaseNode):
    """A dict of payloads that were kept in `msg.ctx`.

    Args:
        ctx_names: the names that they were kept under, which are those of the fields,
            too; or a mapping from them to the names of fields.
        meta_from: the name whose meta the message gets; by default the first one.
        flatten: put all fields of these payloads, which are dicts then, into one;
            later names go before.
        options: those of every node.

    Raises:
        MessageError: what is to be flattened is no dict; fails this message only.
        NotKept: one of them was not kept; fails this message only.
        SettingsError: these are fewer than two.
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(
        self,
        ctx_names: Sequence[str] | Mapping[str, str],
        meta_from: str | None = None,
        flatten: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if isinstance(ctx_names, str) or len(ctx_names) < 2:
            raise SettingsError(
                "two names at least are put together",
                key="ctx_names",
                found=ctx_names,
                allowed="['first', 'second']",
            )
        is_mapping = isinstance(ctx_names, Mapping)
        self.ctx_names: dict[str, str | None] = (
            dict(ctx_names)
            if isinstance(ctx_names, Mapping)
            else {name: name for name in ctx_names}
        )
        self.meta_from = meta_from or next(iter(self.ctx_names))
        # In a mapping each name says where it goes to.
        self.flatten = flatten and not is_mapping

    def process(self, msg: Message) -> Message:
        payload: dict[str, Any] = {}
        for name, field in self.ctx_names.items():
            found = isolate(_kept(msg, name)["payload"])
            if not self.flatten and field is not None:
                payload[field] = found
            elif isinstance(found, Mapping):
                payload.update(found)
            else:
                kind = type(found).__name__
                raise MessageError(f"{name!r} in ctx is no dict, but {kind}")
        msg.meta = isolate(_kept(msg, self.meta_from)["meta"])
        msg.payload = payload
        return msg


class UseMetaFromCtx(BaseNode):
    """The meta of a message that was kept in `msg.ctx`.

    Args:
        context_name: the name that it was kept under.
        options: those of every node.

    Raises:
        NotKept: nothing was; fails this message only.
    """

    changes: ClassVar = frozenset({"meta"})

    def __init__(self, context_name: str, **options: Any) -> None:
        super().__init__(**options)
        self.context_name = context_name

    def process(self, msg: Message) -> Message:
        msg.meta = isolate(_kept(msg, self.context_name)["meta"])
        return msg
