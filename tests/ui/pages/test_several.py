"""Pages of several instances in a browser: one goes from one to the other."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.ui.plants import Plant, free_port


@pytest.fixture
def several(console: Plant, tmp_path: Path) -> Iterator[str]:
    """A link that logs in to the pages of two instances, which are the same one."""
    address = json.loads((console.folder / ".pichannels" / "control.json").read_text())
    port = str(free_port())
    names = [f"--url={name}={address['url']}" for name in ("near", "far away")]
    token = tmp_path / ".pichannels" / "ui" / "token"
    out = tmp_path / "out.txt"
    with (
        out.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-m", "pichannels", "ui", *names, "--port", port],
            cwd=tmp_path,
            env={**os.environ, "PICHANNELS_TOKEN": address["token"]},
            stdout=said,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            while "pages and API" not in out.read_text():
                assert process.poll() is None, out.read_text()
                time.sleep(0.05)
            query = "next=%2Foperations%3Fpart%3Ddone"
            shown = token.read_text()
            yield f"http://127.0.0.1:{port}/login?{query}#token={shown}"
        finally:
            process.kill()


def test_the_header_goes_to_another_instance(several: str, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(several)
        chosen = page.get_by_role("combobox", name="Instance")
        expect(chosen).to_have_value("near")
        page.wait_for_function("window.did_handshake")
        chosen.select_option("far away")
        expect(page).to_have_url(
            re.compile(r"operations\?instance=far\+away&part=done")
        )
        expect(page.locator(".lamps")).to_contain_text("running")
