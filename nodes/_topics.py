"""Texts with fields of the tag and values of the message: `plant/{name}`."""

from __future__ import annotations

import string
from typing import Final

from nodes._texts import filled, pattern_of
from pichannels.errors import SettingsError, nearest
from pichannels.message import Message
from pichannels.values import Sample

__all__ = ["checked_template", "has_fields", "made_of"]

_FIELDS: Final = ("name", "path", "server", "key", "units")


def made_of(template: str, msg: Message, sample: Sample | None) -> str:
    """The text for a sample, or for a message that is no batch.

    Raises:
        MessageError: the message lacks a value.
        ValueError: it has fields of a tag, and there is no sample.
    """
    text = filled(template, msg, _without_fields)
    if sample is None:
        if has_fields(text):
            raise ValueError(f"only samples have a tag for {text!r}")
        return text.format()
    tag = sample.tag
    return text.format(
        name=tag.name,
        path=tag.path,
        server=tag.server,
        key=tag.key,
        units=sample.units or tag.units,
    )


def has_fields(text: str) -> bool:
    """Whether fields of a tag belong in it."""
    return any(field for _, field, _, _ in string.Formatter().parse(text))


def checked_template(key: str, template: str) -> str:
    """The text, whose fields and patterns have to exist.

    Raises:
        SettingsError: one does not.
    """
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(template)]
    except ValueError as exc:
        raise SettingsError(str(exc), key=key, found=template) from exc
    for field in fields:
        if field is not None and field not in _FIELDS:
            raise SettingsError(
                f"a sample has no such field{nearest(field, _FIELDS)}",
                key=key,
                found=template,
                allowed=", ".join(f"{{{name}}}" for name in _FIELDS),
            )
    return pattern_of(key, template)


def _without_fields(text: str) -> str:
    """A value of a message, which is no template."""
    return text.replace("{", "{{").replace("}", "}}")
