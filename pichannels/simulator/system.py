"""Routes of the server itself: home, status, user, and the channel instances."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from pichannels.simulator.gate import user
from pichannels.simulator.guard import Rules
from pichannels.simulator.query import Query
from pichannels.simulator.simtime import SECOND, time_text
from pichannels.simulator.world import World

__all__ = ["SystemRoutes"]


class SystemRoutes:
    """The landing page, `system` and `channels`."""

    def __init__(
        self, world: World, poll: float, rate_limit: int, rules: Rules
    ) -> None:
        self.world = world
        self.poll = poll
        self.rate_limit = rate_limit
        self.rules = rules

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root = "/piwebapi"
        return [
            web.get(root, self.home),
            web.get(f"{root}/", self.home),
            web.get(f"{root}/system", self.system),
            web.get(f"{root}/system/status", self.status),
            web.get(f"{root}/system/cacheinstances", self.caches),
            web.get(f"{root}/system/userinfo", self.user),
            web.get(f"{root}/system/versions", self.versions),
            web.get(f"{root}/system/configuration", self.configuration),
            web.get(f"{root}/channels/instances", self.instances),
        ]

    async def home(self, request: web.Request) -> web.Response:
        """Where everything is."""
        url = self.world.url
        names = ("AssetServers", "DataServers", "Omf", "Search", "System")
        links = {"Self": f"{url}/"} | {name: f"{url}/{name.lower()}" for name in names}
        return self.world.answer({"Links": links}, Query(request))

    async def system(self, request: web.Request) -> web.Response:
        """Where the parts of `system` are."""
        url = f"{self.world.url}/system"
        names = ("CacheInstances", "Configuration", "Status", "UserInfo", "Versions")
        links = {"Self": url} | {name: f"{url}/{name.lower()}" for name in names}
        return self.world.answer({"Links": links}, Query(request))

    async def status(self, request: web.Request) -> web.Response:
        """How long the server has been up, and its time."""
        world = self.world
        now = world.clock.now()
        body = {
            "UpTimeInMinutes": (now - world.started) / SECOND / 60,
            "State": "Running",
            "CacheInstances": [self._cache(now)],
            "ServerTime": time_text(now),
        }
        return world.answer(body, Query(request))

    def _cache(self, now: int) -> dict[str, Any]:
        return {
            "Id": "AnonymousUser",
            "LastRefreshTime": time_text(self.world.started),
            "WillRefreshAfter": time_text(now + 300 * SECOND),
            "ScheduledExpirationTime": time_text(now + 900 * SECOND),
            "User": "SIM\\op1",
        }

    async def caches(self, request: web.Request) -> web.Response:
        """What the server keeps for users; here there is one."""
        body = {"Items": [self._cache(self.world.clock.now())]}
        return self.world.answer(body, Query(request))

    async def user(self, request: web.Request) -> web.Response:
        """Who is asking."""
        body = {
            "IdentityType": "WindowsIdentity",
            "Name": user() or "SIM\\op1",
            "IsAuthenticated": True,
            "SID": "S-1-5-21-1-2-3-1104",
            "ImpersonationLevel": "Delegation",
        }
        return self.world.answer(body, Query(request))

    async def versions(self, request: web.Request) -> web.Response:
        """The versions of its parts."""
        version = {
            "FullVersion": "1.19.1.250",
            "MajorMinorRevision": "1.19.1",
            "Build": "250",
        }
        return self.world.answer({"PI Web API": version}, Query(request))

    async def configuration(self, request: web.Request) -> web.Response:
        """The server's settings that matter to a client."""
        body: dict[str, Any] = {
            "AuthenticationMethods": ["Basic", "Anonymous"],
            "CacheInstanceExpirationInterval": 900,
            "ChannelPollingInterval": round(self.poll * 1000),
            "CorsMethods": "GET,OPTIONS",
            "DataArchiveQueryLimit": 200,
            "DebugMode": False,
            "DisableWrites": not self.rules.writes,
            "EnableCSRFDefense": self.rules.csrf,
            "MaxReturnedItemsPerCall": self.world.max_items,
            "RateLimitDuration": 1,
            "RateLimitMaxRequests": self.rate_limit,
            "WebIDType": "Full",
        }
        return self.world.answer(body, Query(request))

    async def instances(self, request: web.Request) -> web.Response:
        """The open channels."""
        return self.world.answer(self.world.hub.describe(), Query(request))
