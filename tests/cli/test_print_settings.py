"""`pichannels print-settings`: values, where they come from, and no secrets."""

from __future__ import annotations

from typing import Any

from tests.cli.folders import Folder, MakePlant

MORE = """\
JOURNAL = {'durability': 'normal'}
CONTROL = {'token': 'do-not-show-this-one'}
LOGGING = {'version': 1, 'handlers': {'x': {'class': 'y', 'password': 'hidden-one'}}}
from more import DRAIN_TIMEOUT
"""


def printed(folder: Folder) -> dict[str, tuple[Any, str]]:
    rows = folder.run("print-settings", "--json").json
    return {row["name"]: (row["value"], row["origin"]) for row in rows}


def test_each_value_has_its_origin(make_plant: MakePlant) -> None:
    folder = make_plant(more=MORE)
    folder.write("more.py", "DRAIN_TIMEOUT = 3")
    text = (folder.path / "settings.py").read_text().splitlines()
    line = 1 + next(n for n, each in enumerate(text) if each.startswith("JOURNAL"))
    found = printed(folder)
    assert found["JOURNAL['durability']"] == ("normal", f"settings.py:{line}")
    assert found["JOURNAL['retention_days']"] == (7.0, "default")
    assert found["DRAIN_TIMEOUT"] == (3.0, "settings.py, by import")


def test_channels_and_stores_are_named(plant: Folder) -> None:
    found = printed(plant)
    assert found["CHANNELS[0]"][0] == "values (Counted)"
    assert found["MESSAGE_STORE"][0] == "SQLiteMessageStoreFactory"


def test_secrets_are_not_shown(make_plant: MakePlant) -> None:
    folder = make_plant(more=MORE)
    folder.write("more.py", "DRAIN_TIMEOUT = 3")
    out = folder.run("print-settings").out + folder.run("print-settings", "--json").out
    assert ("do-not-show" in out, "hidden-one" in out) == (False, False)
    assert "(not shown)" in out


def test_secrets_by_reference_and_logins_in_urls_are_not_shown(
    make_plant: MakePlant,
) -> None:
    folder = make_plant(
        more="from pichannels.secrets import Secret\n"
        "CONTROL = {'token': Secret.env('TOKEN')}\n"
        "LEASE = {'url': 'postgresql://me:hidden@db/plant?a=b&password=hidden'}"
    )
    found = printed(folder)
    assert found["CONTROL['token']"][0] == "(not shown)"
    assert found["LEASE['url']"][0] == "postgresql://db/plant?a=b&"


def test_the_name_may_be_that_of_the_folder(empty: Folder) -> None:
    empty.write(
        "settings.py",
        "from pichannels.channels import BaseChannel\nCHANNELS = [BaseChannel('a')]\n",
    )
    assert printed(empty)["PROJECT_NAME"] == (empty.path.name, "the folder's name")


def test_wrong_settings_are_told(plant: Folder) -> None:
    plant.write("settings.py", "CHANNELS = 3")
    assert plant.run("print-settings").code == 3
