"""Client credentials take the address of a token endpoint, and no login in it."""

from __future__ import annotations

import pytest

from pichannels.errors import UsageError
from pichannels.piwebasync.auth import ClientCredentials


def test_a_login_in_the_url_is_refused_with_the_right_arguments() -> None:
    with pytest.raises(UsageError, match="as client_id and client_secret") as told:
        ClientCredentials("https://me:s3cret@login.example.com/token", "id", "x")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["login.example.com/token", "https://me:s3cret@h:port", "https://[", ""]
)
def test_what_is_no_url_is_told_at_once(url: str) -> None:
    with pytest.raises(UsageError, match="is no URL of a token endpoint") as told:
        ClientCredentials(url, "id", "x")
    assert "s3cret" not in str(told.value)
