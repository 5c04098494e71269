"""What is told where the libraries of a login are not installed."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

HIDDEN = """
import sys
for name in {hidden!r}:
    sys.modules[name] = None
{code}
"""


async def told(code: str, *hidden: str) -> str:
    """What a process says in which these libraries cannot be imported."""
    script = HIDDEN.format(hidden=hidden, code=code)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@pytest.mark.parametrize(
    "made",
    [
        "from pichannels.piwebasync.auth import Negotiate; Negotiate()",
        "from pichannels.piwebasync.auth import NTLM; NTLM('a', 'b')",
        "from pichannels.simulator.acceptors import *; acceptors_of(NTLMUsers({}))",
    ],
)
async def test_a_login_names_the_extra_that_it_needs(made: str) -> None:
    assert "pip install 'pichannels[auth]'" in await told(made, "spnego")


async def test_other_logins_need_no_library() -> None:
    made = "from pichannels.piwebasync.auth import *; Basic('a', 'b'); Bearer('x')"
    assert await told(made, "spnego", "httpx", "gssapi", "krb5") == ""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has its own Kerberos")
async def test_kerberos_names_the_extra_that_it_needs() -> None:
    code = """
import asyncio
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.auth import Negotiate
from pichannels.simulator import NTLMUsers, Plant, Simulator


async def main() -> None:
    async with Simulator(Plant(tags=1), auth=NTLMUsers({"a": "b"})) as sim:
        controller = Controller.from_url(sim.url)
        async with HTTPClient(Negotiate()) as client:
            await client.get(controller.system.user_info())


asyncio.run(main())
"""
    said = await told(code, "gssapi", "krb5")
    assert "needs pip install 'pichannels[kerberos]'" in said
