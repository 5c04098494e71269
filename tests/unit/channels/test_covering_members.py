"""What is read of a server with several members carries paths for keys."""

from __future__ import annotations

import pytest

from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.piwebasync.resolve import Point


@pytest.mark.parametrize(("by_path", "key"), [(True, r"\\S\T"), (False, "7")])
def test_a_tag_that_is_read_has_the_key_of_live_ones(by_path: bool, key: str) -> None:
    covering = Covering("x", CoverageOptions(), by_path=by_path)
    covering.add_streams([Point(web_id="W", name="T", path=r"\\S\T", id=7)])
    assert covering.tag(0, "PLANT").key == key
