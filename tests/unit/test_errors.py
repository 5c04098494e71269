"""Each error says in one sentence what is wrong and what to do."""

from __future__ import annotations

import pytest

from pichannels import errors
from pichannels.errors import PichannelsError, nearest

SENTENCES: list[tuple[Exception, str]] = [
    (errors.RetryLater(), "try again later"),
    (errors.RetryLater("disk full"), "try again later: disk full"),
    (errors.RetryLater("busy", 0.5), "try again in 0.5 s: busy"),
    (errors.RetryLater(delay=90), "try again in 90 s"),
    (errors.NotConnected("pi.example.org"), "pi.example.org is not connected"),
    (errors.NotConnected("pi", "refused"), "pi is not connected: refused"),
    (errors.Backpressure("the journal", 10.0), "the journal had no room for 10 s"),
    (
        errors.ChannelStopped("boiler"),
        "channel 'boiler' is stopped; start it to send messages",
    ),
    (errors.Dropped("quiet"), "quiet"),
    (errors.Rejected("no header"), "no header"),
    (errors.EndOfChain(), ""),
    (errors.DecodeError("JSON", "empty"), "not JSON: empty"),
    (
        errors.DecodeError("JSON", "bad", b"{{"),
        "not JSON: bad (begins b'{{')",
    ),
    (errors.SampleErrors({}), "0 samples failed"),
    (
        errors.SampleErrors({3: "odd", 4: "even"}),
        "2 samples failed; the first at 3: odd",
    ),
    (
        errors.SampleErrors({"[3] TAG": "odd"}),
        "1 sample failed; the first at [3] TAG: odd",
    ),
    (
        errors.MessageNotFound("boiler", "17"),
        "store 'boiler' holds no message '17'",
    ),
    (errors.SettingsError("no such choice"), "no such choice"),
    (
        errors.SettingsError(
            "no such choice",
            file="settings.py",
            key="RETENTION",
            found="never",
            allowed="'7d' or 'off'",
        ),
        "settings.py: RETENTION: no such choice (found 'never');"
        " allowed: '7d' or 'off'",
    ),
    (errors.SettingsError("missing", key="CHANNELS"), "CHANNELS: missing"),
    (
        errors.NodeResultError("boiler.filter", None),
        "node 'boiler.filter' returned NoneType, not a message; end process() with"
        " `return msg`, or raise Dropped to end here",
    ),
    (
        errors.NodeResultError("boiler.filter", [1]),
        "node 'boiler.filter' returned list, not a message",
    ),
    (
        errors.JournalLocked("data/journal.db", "process 17"),
        "data/journal.db is in use by process 17; stop the other instance, or give"
        " this one its own DATA_DIR",
    ),
    (
        errors.JournalLocked("data/journal.db"),
        "data/journal.db is in use; stop the other instance, or give this one its"
        " own DATA_DIR",
    ),
    (
        errors.ChannelPaused("boiler", True),
        "channel 'boiler' is paused; the message runs when it goes on",
    ),
    (
        errors.StoreHeld("boiler", "process 17"),
        "store 'boiler' is written by process 17; search it and replay from it, but"
        " stop that process, or give this channel another store, to write",
    ),
    (
        errors.LeaseHeld("plant", "process 17 on a"),
        "the lease 'plant' is held by process 17 on a; stop that instance, stand by"
        " with `pichannels start --wait`, or give this project another name in LEASE",
    ),
]


@pytest.mark.parametrize(("error", "sentence"), SENTENCES, ids=lambda v: repr(v)[:40])
def test_an_error_builds_its_own_sentence(error: Exception, sentence: str) -> None:
    assert str(error) == sentence


def test_every_error_is_a_pichannels_error_and_has_a_sentence_here() -> None:
    found = {getattr(errors, name) for name in errors.__all__ if name[0].isupper()}
    told = {type(error) for error, _ in SENTENCES}
    plain = {kind for kind in found if "__init__" not in vars(kind)}
    assert all(issubclass(kind, PichannelsError) for kind in found)
    assert found - told - plain == set()


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        (errors.RetryLater, (errors.TryAgain,)),
        (errors.NotConnected, (errors.TryAgain,)),
        (errors.Backpressure, (errors.TryAgain,)),
        (errors.ChannelStopped, (errors.Stopped,)),
        (errors.EndOfChain, (errors.Stopped,)),
        (errors.Dropped, (errors.MessageError,)),
        (errors.Rejected, (errors.MessageError,)),
        (errors.DecodeError, (errors.MessageError,)),
        (errors.CodecError, (errors.MessageError,)),
        (errors.SampleErrors, (errors.MessageError,)),
        (errors.MessageNotFound, (errors.MessageError, LookupError)),
        (errors.NodeResultError, (errors.UsageError,)),
        (errors.JournalLocked, (errors.JournalError,)),
    ],
)
def test_an_error_is_in_the_group_of_what_the_caller_does(
    kind: type[Exception], groups: tuple[type[Exception], ...]
) -> None:
    assert all(issubclass(kind, group) for group in groups)


def test_errors_keep_their_facts() -> None:
    error = errors.DecodeError("JSON", "bad", "x" * 200)
    assert (error.what, error.reason, error.excerpt) == ("JSON", "bad", "x" * 80)


def test_sample_errors_keep_causes_and_what_goes_on() -> None:
    error = errors.SampleErrors({1: "bad"}, "rest")
    assert (error.causes, error.message) == ({1: "bad"}, "rest")


def test_nearest_offers_the_known_name_that_is_most_alike() -> None:
    offered = nearest("windw", ["window", "lanes"])
    assert offered == "; did you mean 'window'?"


def test_nearest_offers_nothing_when_nothing_is_alike() -> None:
    assert nearest("qqq", ["window", "lanes"]) == ""
