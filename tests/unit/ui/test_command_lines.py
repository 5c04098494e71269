"""Commands that are copied from the pages run where they are pasted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pichannels.ui.pages.command_lines import command_line


def test_words_are_quoted_as_sh_takes_them() -> None:
    words = ("store", "search", "it's *", "--settings", "/srv/plant/settings.py")
    assert command_line(words, is_windows=False) == (
        "store search 'it'\"'\"'s *' --settings /srv/plant/settings.py"
    )


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        (r"C:\plant\settings.py", r"C:\plant\settings.py"),
        (r"C:\my plant\settings.py", r'"C:\my plant\settings.py"'),
        ("UNIT*", '"UNIT*"'),
        ("it's", '"it\'s"'),
        ("a|b", '"a|b"'),
        ('say "no"', r'"say \"no\""'),
        ("C:\\my plant\\", '"C:\\my plant\\\\"'),
        ("", '""'),
    ],
)
def test_words_are_quoted_as_windows_takes_them(word: str, shown: str) -> None:
    assert command_line([word], is_windows=True) == shown


@pytest.mark.skipif(sys.platform != "win32", reason="asks Windows")
def test_windows_reads_what_is_quoted() -> None:
    words = ["a b", 'say "no"', "C:\\my plant\\", "a|b", "", "\\\\host\\x y"]
    program = [sys.executable, "-c", "import sys; print(sys.argv[1:])"]
    line = command_line([*program, *words])
    assert subprocess.check_output(line, text=True).strip() == repr(words)
