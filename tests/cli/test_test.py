"""`pichannels test`: the project's tests, with pytest and with unittest."""

from __future__ import annotations

from tests.cli.folders import Folder

TESTS = """\
import unittest


class TestBoiler(unittest.TestCase):
    def test_it(self):
        self.assertEqual(1, VALUE)
"""


def test_tests_are_run_with_pytest_and_its_arguments(empty: Folder) -> None:
    empty.write("settings.py", "CHANNELS = []")
    empty.write("tests/test_boiler.py", TESTS.replace("VALUE", "1"))
    good = empty.run("test", "--", "-k", "test_it")
    assert (good.code, "1 passed" in good.out) == (0, True)


def test_tests_py_beside_the_settings_is_run(empty: Folder) -> None:
    empty.write("settings.py", "CHANNELS = []")
    empty.write("tests.py", TESTS.replace("VALUE", "1"))
    assert "1 passed" in empty.run("test", "--", "-k", "test_it").out


def test_a_test_that_fails_fails_the_command(empty: Folder) -> None:
    empty.write("settings.py", "CHANNELS = []")
    empty.write("tests/test_boiler.py", TESTS.replace("VALUE", "2"))
    bad = empty.run("test", "--unittest")
    assert (bad.code, "Ran 1 test" in bad.err) == (1, True)
