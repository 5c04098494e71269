"""The reference has every module of the client that is for its users."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import Final

import pytest

from pichannels import piwebasync
from tests.docs.pages import DOCS

# What the others stand on; users meet it through them.
INSIDE: Final = {
    *("asking", "batched", "bulk", "connection", "filling", "handling", "health"),
    *(
        "event_tags",
        "interrupting",
        "lenient",
        "redirects",
        "stream_updates",
        "telling",
    ),
    *("opening", "parameters", "retrying", "sessions", "silence", "tls", "transport"),
    *("controllers_base", "controllers_common", "controllers_searches", "updates"),
    # Their names are in `auth`, or in `pichannels.piwebasync` itself.
    *("credentials", "environment", "httpx_flow", "login", "negotiate", "oidc"),
    *(
        "controllers",
        "http",
        "limiting",
        "requests",
        "responses",
        "server",
        "websocket",
    ),
}
MODULES: Final = {info.name for info in pkgutil.iter_modules(piwebasync.__path__)}


def shown() -> set[str]:
    folder = DOCS / "reference" / "api"
    text = "".join(
        (folder / f"{page}.md").read_text() for page in ("client", "requests")
    )
    return set(re.findall(r"^::: pichannels\.piwebasync\.(\w+)$", text, re.M))


def test_every_module_of_the_client_is_in_the_reference_or_inside() -> None:
    assert MODULES - shown() == INSIDE


def offered(module: str) -> list[str]:
    names: list[str] = import_module(f"{piwebasync.__name__}.{module}").__all__
    return names


@pytest.mark.parametrize("name", piwebasync.__all__)
def test_every_name_of_the_package_is_in_the_reference(name: str) -> None:
    names = {name for module in shown() & MODULES for name in offered(module)}
    assert name in shown() | names
