"""Hand-over between instances, declared in YAML."""

from __future__ import annotations

import pytest

from nodes import publish
from pichannels.channels.inbox import InboxChannel
from pichannels.channels.remote import RemoteChannel
from pichannels.config import SettingsProblems
from pichannels.endpoints.remote import RemoteEndpoint
from pichannels.secrets import Secret
from tests.unit.declarative.conftest import Folder

SITES = """
channels:
- name: north
  source:
    inbox:
      endpoint: &door
        port: 8767
        tokens: {north: "${env:NORTH_TOKEN}", south: "${env:SOUTH_TOKEN}"}
      clients: [north]
  nodes: [log.Log]
- name: south
  source:
    remote:
      url: https://south:8765
      stream: values
      start: end
      token: ${env:SOUTH_TOKEN}
  nodes:
  - publish.Outbox:
      endpoint: *door
      stream: south
  - publish.Remote:
      url: https://above:8765
      stream: all
      token: ${env:ABOVE_TOKEN}
"""


def test_endpoints_with_tokens_are_shared_by_channels_and_nodes(folder: Folder) -> None:
    north, south = folder.declare(SITES).channels
    assert isinstance(north, InboxChannel) and isinstance(south, RemoteChannel)
    endpoint, offered = north.endpoint, list(south.own_nodes())[1]
    assert isinstance(endpoint, RemoteEndpoint) and isinstance(offered, publish.Outbox)
    assert endpoint.tokens["north"] == Secret.env("NORTH_TOKEN")
    assert offered.endpoint is endpoint


def test_a_client_without_token_is_told(folder: Folder) -> None:
    with pytest.raises(SettingsProblems, match="no such client.*'nort'"):
        folder.declare(SITES.replace("[north]", "[nort]"))
