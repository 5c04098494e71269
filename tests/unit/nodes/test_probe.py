"""What `probe` of the sinks finds, and that it leaves everything as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from nodes import log, publish
from pichannels.probes import Finding


async def look(path: Path) -> Finding:
    (found,) = await publish.File(path).probe()
    return found


async def test_a_file_in_a_folder_to_be_made_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.jsonl"
    assert await look(path) == Finding(True, "file", f"{path} can be written")
    assert not (tmp_path / "a").exists()


async def test_a_file_that_exists_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("kept")
    assert (await look(path)).ok
    assert path.read_text() == "kept"


async def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    found = await look(tmp_path)
    assert (found.ok, found.text) == (False, f"{tmp_path}: {tmp_path} is no file")


async def test_a_file_in_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    found = await look(tmp_path / "a" / "out.jsonl")
    assert (found.ok, f"{tmp_path / 'a'} is no folder" in found.text) == (False, True)


async def test_most_nodes_have_no_other_side() -> None:
    assert await log.Log().probe() == []


@pytest.mark.parametrize(
    ("node", "is_sink"),
    [
        (publish.File("out.jsonl"), True),
        (publish.HTTP("http://127.0.0.1:1"), True),
        (publish.Console(), True),
        (publish.Call(len), True),
        (log.Log(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_nodes_tell_whether_messages_leave_there(node: object, is_sink: bool) -> None:
    assert getattr(node, "is_sink", None) is is_sink


@pytest.mark.parametrize(
    ("status", "is_ok", "told"),
    [
        (200, True, "answers (HEAD: 200)"),
        (405, True, "answers (HEAD: 405)"),
        (401, False, "it does not accept the login"),
        (503, False, "what is behind it does not work"),
    ],
)
async def test_a_web_server_is_asked_without_a_change(
    status: int, is_ok: bool, told: str
) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=status)

    app = web.Application()
    app.router.add_route("*", "/in", answer)
    async with TestServer(app) as server:
        (found,) = await publish.HTTP(str(server.make_url("/in"))).probe()
    assert (found.ok, told in found.text, asked) == (is_ok, True, ["HEAD"])


async def test_a_web_server_that_is_away_is_told() -> None:
    url = f"http://127.0.0.1:{unused_port()}/in"
    (found,) = await publish.HTTP(url).probe()
    assert (found.ok, "Cannot connect" in found.text) == (False, True)
