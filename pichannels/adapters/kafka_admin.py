"""Topics of Kafka made, described and deleted, by aiokafka."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from pichannels.adapters.kafka import (
    administrator,
    answered,
    ensure_installed,
    new_topic,
    translated,
)
from pichannels.errors import NotConnected, RetryLater

__all__ = ["Administration"]


class Administration:
    """What makes, describes and deletes topics; connects for each call.

    Args:
        options: what the library's client takes.
        target: where the brokers are, for errors.
    """

    def __init__(self, options: Mapping[str, Any], target: str) -> None:
        ensure_installed()
        self._options = options
        self._target = target

    async def create(
        self,
        topic: str,
        *,
        partitions: int = 1,
        copies: int = 1,
        settings: Mapping[str, str] | None = None,
    ) -> bool:
        """Make a topic.

        Returns:
            False where it is there already.

        Raises:
            TryAgain: no broker answers.
            Refused: it may not have such a name.
            SettingsError: the brokers do not want it so.
        """
        new = new_topic(topic, partitions, copies, **(settings or {}))
        answer = await self._asked(lambda client: client.create_topics([new]))
        return all(
            answered(code, reason[0] if reason else None, self._target)
            for _, code, *reason in answer.topic_errors
        )

    async def delete(self, topic: str) -> None:
        """Delete a topic and all that is in it.

        Raises:
            TryAgain: no broker answers.
        """
        await self._asked(lambda client: client.delete_topics([topic]))

    async def describe(self, topic: str) -> dict[str, Any]:
        """Its partitions, each with its leader and its copies.

        Raises:
            RetryLater: there is no such topic.
            TryAgain: no broker answers.
        """
        # Asked for by name, brokers may make it.
        if topic not in await self.topics():
            raise RetryLater(f"{self._target} has no topic {topic!r}")
        found = await self._asked(lambda client: client.describe_topics([topic]))
        return {
            "topic": topic,
            "partitions": {
                part["partition"]: {
                    "leader": part["leader"],
                    "copies": list(part["replicas"]),
                }
                for part in found[0]["partitions"]
            },
        }

    async def topics(self) -> list[str]:
        """The names of all topics that we may see.

        Raises:
            TryAgain: no broker answers.
            SettingsError: the login is refused.
        """
        return sorted(await self._asked(lambda client: client.list_topics()))

    async def _asked(self, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        client = administrator(self._options, self._target)
        try:
            with translated(self._target):
                await client.start()
                return await self._answer(client, ask)
        finally:
            with suppress(Exception):
                await client.close()

    async def _answer(self, client: Any, ask: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await ask(client)
        except AttributeError as exc:
            # The library asks the controller without a look whether there is one.
            if client._client.cluster.controller is None:
                raise NotConnected(self._target, "there is no controller") from exc
            raise
