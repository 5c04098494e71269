"""What is shown of stored messages."""

from __future__ import annotations

from pichannels.ui.content import MessageView, masked_message


def test_who_may_see_no_payloads_sees_no_facts_that_quote_them() -> None:
    meta = {"lane": "live", "headers": {"authorization": "Bearer hush"}}
    message = {"uuid": "1", "payload": "hush", "ctx": {}, "meta": meta}
    outcome = {"node": "a.b", "err_msg": "hush"}
    view = MessageView(
        id="1", channel="a", state="error", outcome=outcome, message=message
    )
    shown = masked_message(view, None)
    assert "hush" not in str(shown)
    assert shown.message["meta"] == {"lane": "live"}
