"""publish.HTTP against a real server that refuses, fails, waits and goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from nodes.publish import HTTP, RequestRefused
from pichannels.errors import NotConnected, RetryLater, SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.retry import RetryPolicy
from pichannels.values import Sample, Tag, datetime_from_ticks

QUICKLY = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)

Answer = Callable[[web.Request], Awaitable[web.Response]]


class Target:
    """A web server that keeps what it gets and answers as it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, bytes]] = []
        self.answers: list[int | web.Response | Answer] = []
        self.server = TestServer(self._application())

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/in", self._take)
        return application

    async def _take(self, request: web.Request) -> web.Response:
        self.requests.append((request.headers.copy(), await request.read()))
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, int):
            return web.Response(status=answer)
        return answer if isinstance(answer, web.Response) else await answer(request)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/in"))

    @property
    def values(self) -> list[list[Any]]:
        """The values of the samples in each request."""
        return [
            [sample["value"] for sample in json.loads(body)]
            for _, body in self.requests
        ]


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    target = Target()
    await target.server.start_server()
    yield target
    await target.server.close()


def batch(*values: Any) -> Message:
    return Message(payload=[Sample(Tag("TI1"), 10**16 + v, v) for v in values])


async def acks(node: HTTP, *msgs: Message) -> list[Awaitable[Any]]:
    found = []
    for msg in msgs:
        result = node.process(msg)
        pending = result if isinstance(result, Pending) else await result
        found.append(pending.ack)
    return found


async def publish(node: HTTP, *msgs: Message) -> list[Any]:
    """Hand over all messages, wait, stop: None or the error of each."""
    outcomes = await asyncio.gather(*await acks(node, *msgs), return_exceptions=True)
    await node.stop()
    return outcomes


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what changes is a counter
        await asyncio.sleep(0.005)


async def test_a_batch_becomes_an_array_of_samples(target: Target) -> None:
    msg = batch(1, 2)
    await publish(HTTP(target.url), msg)
    ((headers, body),) = target.requests
    assert headers["Content-Type"] == "application/json"
    assert [s["event_id"] for s in json.loads(body)] == [
        s.event_id for s in msg.payload
    ]


async def test_batches_that_wait_go_together_in_order(target: Target) -> None:
    await publish(HTTP(target.url, batch=3), *[batch(n) for n in range(7)])
    assert target.values == [[0, 1, 2], [3, 4, 5], [6]]


@pytest.mark.parametrize(
    ("msg", "content_type", "body"),
    [
        (Message("application/json", {"a": 1}), "application/json", b'{"a":1}'),
        (Message("application/python", "a"), "application/json", b'"a"'),
        (Message("text/csv", "a;b"), "text/csv", b"a;b"),
        (Message("image/png", b"\x89"), "image/png", b"\x89"),
        (Message(payload="hé"), "text/plain; charset=utf-8", "hé".encode()),
    ],
)
async def test_other_payloads_are_sent_as_what_they_are(
    target: Target, msg: Message, content_type: str, body: bytes
) -> None:
    await publish(HTTP(target.url), msg)
    ((headers, sent),) = target.requests
    assert (headers["Content-Type"], sent) == (content_type, body)
    assert headers["Idempotency-Key"] == msg.uuid


async def test_other_payloads_have_requests_of_their_own(target: Target) -> None:
    msgs = [batch(1), Message(payload={"a": 1}), batch(2), batch(3)]
    await publish(HTTP(target.url), *msgs)
    assert len(target.requests) == 3


def lane_of(request: tuple[Any, bytes]) -> Any:
    return request[0]["Pichannels-Lane"]


async def test_a_request_has_batches_of_one_lane_and_says_which(
    target: Target,
) -> None:
    msgs = [batch(1), batch(2), batch(3), batch(4)]
    for msg, lane in zip(msgs, ["live", "live", "repair", "live"], strict=True):
        msg.meta["lane"] = lane
    await publish(HTTP(target.url), *msgs)
    found = [
        (lane_of(r), v) for r, v in zip(target.requests, target.values, strict=True)
    ]
    assert found == [("live", [1, 2]), ("repair", [3]), ("live", [4])]


@pytest.mark.parametrize(
    ("meta", "lane"),
    [({}, "live"), ({"lane": "replay"}, "replay"), ({"lane": "a\nb"}, "a%0Ab")],
)
async def test_other_payloads_say_their_lane(
    target: Target, meta: dict[str, Any], lane: str
) -> None:
    await publish(HTTP(target.url), Message("text/csv", "a;b", meta))
    assert lane_of(target.requests[0]) == lane


async def test_method_headers_and_credentials_are_sent(target: Target) -> None:
    node = HTTP(target.url, "put", headers={"X-Plant": "1"}, auth=("me", "secret"))
    await publish(node, batch(1))
    headers, _ = target.requests[0]
    assert (headers["X-Plant"], headers["Authorization"]) == (
        "1",
        "Basic bWU6c2VjcmV0",
    )


async def test_a_token_is_sent(target: Target) -> None:
    await publish(HTTP(target.url, auth="abc"), batch(1))
    assert target.requests[0][0]["Authorization"] == "Bearer abc"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_temporary_answers_are_tried_again_with_the_same_key(
    target: Target, status: int
) -> None:
    target.answers = [status] * 2
    node = HTTP(target.url, retry=QUICKLY)
    assert await publish(node, batch(1)) == [None]
    assert len({headers["Idempotency-Key"] for headers, _ in target.requests}) == 1
    assert (node.requests, node.errors) == (3, 2)


async def test_what_comes_later_waits_for_what_is_tried_again(target: Target) -> None:
    target.answers = [500] * 3
    await publish(HTTP(target.url, batch=1, retry=QUICKLY), *map(batch, range(3)))
    assert target.values == [[0], [0], [0], [0], [1], [2]]


async def test_retry_after_is_obeyed(target: Target) -> None:
    target.answers = [web.Response(status=429, headers={"Retry-After": "0"})]
    slow = RetryPolicy(attempts=0, initial=3600, maximum=3600, jitter=0)
    assert await publish(HTTP(target.url, retry=slow), batch(1)) == [None]


async def test_retry_after_can_be_a_date(target: Target) -> None:
    past = format_datetime(datetime_from_ticks(10**16), usegmt=True)
    target.answers = [web.Response(status=503, headers={"Retry-After": past})]
    slow = RetryPolicy(attempts=0, initial=3600, maximum=3600, jitter=0)
    assert await publish(HTTP(target.url, retry=slow), batch(1)) == [None]


async def test_a_refused_message_fails_and_the_next_goes_on(target: Target) -> None:
    target.answers = [web.Response(status=422, text="no such tag")]
    first, second = await publish(HTTP(target.url, batch=1), batch(1), batch(2))
    assert isinstance(first, RequestRefused) and first.status == 422
    assert "/in answered 422: no such tag" in str(first)
    assert second is None


async def test_one_poison_message_does_not_cost_those_beside_it(
    target: Target,
) -> None:
    async def refuse_two(request: web.Request) -> web.Response:
        found = [sample["value"] for sample in json.loads(await request.read())]
        return web.Response(status=400 if 2 in found else 200)

    target.answers = [refuse_two] * 4
    outcomes = await publish(HTTP(target.url), batch(1), batch(2), batch(3))
    assert [type(o) for o in outcomes] == [type(None), RequestRefused, type(None)]
    assert target.values == [[1, 2, 3], [1], [2], [3]]


async def test_a_redirection_is_not_followed(target: Target) -> None:
    target.answers = [web.Response(status=302, headers={"Location": "/other"})]
    (error,) = await publish(HTTP(target.url), batch(1))
    assert "it has moved to /other" in str(error)


async def test_refusals_can_be_tried_again(target: Target) -> None:
    target.answers = [401]
    node = HTTP(target.url, retry=QUICKLY, retry_statuses=[401])
    assert await publish(node, batch(1)) == [None]


async def test_a_slow_answer_is_tried_again(target: Target) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    target.answers = [never]
    node = HTTP(target.url, timeout=0.1, retry=QUICKLY)
    assert await publish(node, batch(1)) == [None]
    assert target.values == [[1], [1]]


async def test_a_connection_that_breaks_is_tried_again(target: Target) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    target.answers = [hang_up]
    node = HTTP(target.url, retry=QUICKLY)
    assert await publish(node, batch(1)) == [None]
    assert node.errors == 1


async def test_with_an_end_to_the_retries_the_message_fails(target: Target) -> None:
    target.answers = [500] * 9
    policy = RetryPolicy(attempts=2, initial=0.01)
    (error,) = await publish(HTTP(target.url, retry=policy), batch(1))
    assert isinstance(error, RetryLater)
    assert len(target.requests) == 2


async def test_a_server_that_is_away_is_told(unused_tcp_port: int) -> None:
    policy = RetryPolicy(attempts=1)
    url = f"http://me:secret@127.0.0.1:{unused_tcp_port}/in?token=abc"
    (error,) = await publish(HTTP(url, retry=policy), batch(1))
    assert isinstance(error, NotConnected)
    assert "secret" not in str(error) and "abc" not in str(error)


async def test_at_a_stop_what_cannot_be_sent_stays_unsettled(target: Target) -> None:
    target.answers = [500] * 9
    node = HTTP(target.url, batch=1, retry=RetryPolicy(attempts=0, initial=60))
    first, second = await acks(node, batch(1), batch(2))
    await until(lambda: node.errors == 1)
    await node.stop()
    assert not asyncio.ensure_future(first).done()
    assert not asyncio.ensure_future(second).done()
    assert target.values == [[1], [1]]


async def test_a_stop_sends_what_is_queued(target: Target) -> None:
    node = HTTP(target.url, batch=1)
    await acks(node, *[batch(n) for n in range(5)])
    await node.stop()
    assert target.values == [[n] for n in range(5)]


async def test_a_full_queue_makes_the_channel_wait(target: Target) -> None:
    node = HTTP(target.url, queue_bytes=1)
    assert await publish(node, *[batch(n) for n in range(4)]) == [None] * 4
    assert target.values == [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://host/"},
        {"url": "http://"},
        {"url": None},
        {"batch": 0},
        {"timeout": 0},
        {"auth": ("me",)},
        {"queue_bytes": -1},
        {"header": {}},
    ],
)
def test_options_that_make_no_sense_are_told_at_once(options: dict[str, Any]) -> None:
    with pytest.raises((SettingsError, UsageError)):
        HTTP(**({"url": "http://host/"} | options))
