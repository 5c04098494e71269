"""The JSON schema of YAML files, for editors: what there is, and what it means.

It is made of the signatures, annotations and docstrings of all that is found: ours,
what plug-ins add, and the project's own nodes and stores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pichannels.declarative.building import (
    BRANCHES,
    CASE_BRANCH_KEYS,
    CHANNEL_KEYS,
    GIVEN_ELSEWHERE,
    SPECIAL_KEYS,
    common_options,
)
from pichannels.declarative.catalogue import (
    CHANNELS,
    NODES,
    STORES,
    Catalogue,
    Family,
)
from pichannels.declarative.code import Function
from pichannels.declarative.compound import OneOf
from pichannels.declarative.kinds import Flag, Schema
from pichannels.declarative.signatures import Signature, summary_of
from pichannels.lint_codes import LINT_CODES

__all__ = ["schema_of"]

_DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_STEPS: Final = {"$ref": "#/definitions/steps"}
_STORE: Final = {"$ref": "#/definitions/store"}
_NAME: Final = {
    "type": "string",
    "minLength": 1,
    "description": "Unique among the steps of its channel.",
}

_IGNORED: Final = {
    "type": ["array", "null"],
    "items": {"enum": list(LINT_CODES)},
    "description": "Rules of `check --strict` that do not count here.",
}


def schema_of(catalogue: Catalogue) -> Schema:
    """The schema of files that declare channels."""
    common = common_options()
    hidden = (*GIVEN_ELSEWHERE, *common.fields)
    return {
        "$schema": _DRAFT,
        "title": "Channels of a pichannels project",
        "type": "object",
        "properties": {
            "channels": {
                "type": "array",
                "items": {"$ref": "#/definitions/channel"},
                "description": "In the order in which they start.",
            }
        },
        "required": ["channels"],
        "additionalProperties": False,
        "definitions": {
            "channel": _channel(common),
            "source": _named(catalogue, CHANNELS, hidden),
            "store": {"anyOf": [{"type": "null"}, _named(catalogue, STORES)]},
            "steps": {
                "type": ["array", "null"],
                "items": {"$ref": "#/definitions/step"},
            },
            "step": _named(catalogue, NODES, more=_branches()),
        },
    }


def _channel(common: Signature) -> Schema:
    own: dict[str, Schema] = {
        "name": {**_NAME, "description": "Unique in the project."},
        "source": {
            "$ref": "#/definitions/source",
            "description": "Where messages come from; none for one that is called.",
        },
        "store": {**_STORE, "description": "Keeps the messages."},
        "nodes": {**_STEPS, "description": "What messages run through, in order."},
        **_special(),
        "ignore_lints": _IGNORED,
    }
    assert tuple(own) == CHANNEL_KEYS
    options = {name: field.schema() for name, field in common.fields.items()}
    return _mapping({**own, **options}, ["name"])


def _special() -> dict[str, Schema]:
    told = zip(SPECIAL_KEYS, _SPECIAL, strict=True)
    return {key: {**_STEPS, "description": f"Nodes {what}."} for key, what in told}


def _mapping(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _named(
    catalogue: Catalogue,
    family: Family,
    hidden: Iterable[str] = (),
    more: Mapping[str, Schema] | None = None,
) -> Schema:
    """A name alone, or one name with options."""
    classes = catalogue.names(family)
    all_found = {n: Signature(kind, [*hidden]) for n, kind in classes.items()}
    signatures = {n: each for n, each in all_found.items() if each.is_for_yaml}
    alone = [name for name, found in signatures.items() if not found.missing(())]
    options = {name: _options(found) for name, found in signatures.items()}
    return {
        "anyOf": [
            {"type": "string", "enum": alone},
            {
                **_mapping({**(more or {}), **options}),
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _options(signature: Signature) -> Schema:
    found = _mapping(
        {name: field.schema() for name, field in signature.fields.items()},
        signature.missing(()),
    )
    if not found["required"]:
        found["type"] = ["object", "null"]
    return {**found, "description": summary_of(signature.made)}


def _branches() -> dict[str, Schema]:
    each = {
        "type": "boolean",
        "description": "Ask about each sample of a batch, and split it.",
    }
    condition = OneOf([Flag(), Function("sample"), Function("message")]).schema()
    keys: dict[str, Schema] = {
        "name": _NAME,
        "required": {
            "type": "boolean",
            "default": True,
            "description": "Whether a message waits for its copy in this fork.",
        },
        "store": _STORE,
        "nodes": _STEPS,
        **_special(),
        "ignore_lints": _IGNORED,
        "each": each,
        "if": {
            **condition,
            "description": "true, false, an expression, or a function.",
        },
    }
    branch = _mapping({key: keys[key] for key in CASE_BRANCH_KEYS}, ["if"])
    keys["branches"] = {"type": "array", "items": branch, "minItems": 1}
    needed = {"fork": [], "when": ["if"], "case": ["branches"]}
    return {
        name: {
            **_mapping({key: keys[key] for key in its}, needed[name]),
            "description": _MEANINGS[name],
        }
        for name, its in BRANCHES.items()
    }


_SPECIAL: Final = (
    "that run before the others",
    "that get the result, where all went well",
    "that get what was dropped",
    "that get what was rejected",
    "that get what has failed",
    "that run last, whatever became of the message",
)
_MEANINGS: Final[Mapping[str, Any]] = {
    "fork": "A copy of each message goes this way beside the chain.",
    "when": "Messages for which it is true leave the chain here for good.",
    "case": "The first branch that is true works on the message; then on.",
}
