"""Coverage and jobs in a browser: the chart, a job from its count to its end."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.ui.pages.conftest import OpenPage
from tests.ui.plants import Plant


def test_groups_of_tags_open_to_single_tags(open_page: OpenPage) -> None:
    page = open_page("/coverage?range=1h", "view")
    rows = page.locator(".gantt [role=listitem]")
    expect(rows.first).to_contain_text("UNIT1.*")
    rows.first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(r"group=UNIT1\."))
    row = page.locator(".gantt [role=listitem]", has_text="UNIT1.BOILER.TEMP")
    expect(row.locator("[role=img]")).to_have_attribute(
        "aria-label", re.compile(r"UNIT1\.BOILER\.TEMP: .*delivered|in flight|missing")
    )


def test_what_is_missing_is_told_of_each_channel(open_page: OpenPage) -> None:
    page = open_page("/coverage", "view")
    table = page.get_by_role("table", name="what is missing of each channel")
    expect(table).to_contain_text("plant")
    expect(table).to_contain_text("Missing, last 30 d")
    expect(page.get_by_role("button", name="New backfill")).to_have_count(0)


def begin_backfill(page: Page, tags: str, start: str, end: str) -> None:
    page.get_by_role("button", name="New backfill").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Tags, with").fill(tags)
    dialog.get_by_label("From").fill(start)
    dialog.get_by_label("To").fill(end)
    dialog.get_by_label("Reason").fill("proof")
    dialog.get_by_role("button", name="Count the tags").click()


def test_a_job_begins_with_its_typed_count_is_paused_and_cancelled(
    open_page: OpenPage,
) -> None:
    page = open_page("/coverage", "operate")
    begin_backfill(page, "UNIT1.PUMP*", "2021-01-01", "2025-12-31")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("This concerns")
    count = re.search(r"Backfill (\d+) tags", dialog.inner_text())
    assert count is not None
    same = dialog.get_by_role("button", name="Copy as CLI").get_attribute("data-copy")
    assert re.search(
        "backfill create plant --tag .UNIT1.PUMP.. --start 2021", same or ""
    )
    dialog.get_by_label("Type").fill(count[1])
    dialog.get_by_role("button", name="Begin").click()
    row = page.get_by_role("table", name="backfill jobs").locator("tbody tr").first
    expect(row).to_contain_text("UNIT1.PUMP*")
    row.get_by_label("priority of").select_option("low")
    expect(page.get_by_text("priority low")).to_be_visible()
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    cancelled = page.get_by_role("row", name=re.compile("cancelled.*UNIT1.PUMP"))
    expect(cancelled.first).to_be_visible()


def test_the_budget_of_repair_is_tried_out_and_changed_with_a_slider(
    open_page: OpenPage, console: Plant
) -> None:
    page = open_page("/coverage", "operate")
    card = page.locator(".card.budget")
    card.get_by_role("slider").fill("20")
    expect(card.locator(".meaning")).to_contain_text(
        re.compile("With 20/s|No job|pace")
    )
    card.get_by_role("button", name="Give 20/s").click()
    expect(card).to_contain_text("20 requests/s")
    assert console.get("/pi-budget", "view")["server"]["history_rate"] == 20
    refused = console.post("/pi-budget", {"rate": 1000}, "operate")
    assert (refused.status_code, "at most" in refused.text) == (400, True)
    console.post("/pi-budget", {"rate": None}, "operate")
    expect(open_page("/coverage", "view").get_by_role("slider")).to_have_count(0)


def test_comparing_with_the_archive_tells_what_it_found(open_page: OpenPage) -> None:
    page = open_page("/coverage?tag=UNIT1.BOILER.TEMP", "operate")
    page.get_by_role("button", name="Reconcile now").click()
    page.get_by_role("dialog").get_by_role("button", name="Compare").click()
    card = page.locator(".card", has_text="Hours that cannot be compared").first
    expect(card).to_contain_text("done")


def _drawn(page: Page, reason: str) -> int:
    assert reason
    return page.locator(f".gantt .bar-hole[title$='{reason}']").count()


def test_a_hole_is_shown_with_its_reason_while_pi_is_away(
    open_page: OpenPage, console: Plant
) -> None:
    simulator = console.get("/status")["simulator"].removesuffix("/piwebapi")
    faults = f"{simulator}/simulator/faults"
    refuse = {"fault": "status", "code": 503, "path": "stream", "seconds": 600}
    httpx.post(faults, json=refuse).raise_for_status()
    httpx.post(faults, json={"fault": "drop"}).raise_for_status()
    try:
        while not console.get("/holes")["matching"]:
            continue
        page = open_page("/coverage?range=15m&holes=1&tag=UNIT1.BOILER.*", "view")
        expect(page.locator(".gantt .bar-hole").nth(1)).to_be_attached()
        page.get_by_text(re.compile(r"\d+ holes? as a table")).click()
        row = page.get_by_role("table", name="holes").locator("tbody tr").first
        expect(row).to_contain_text("UNIT1.BOILER.")
        # The chart may be drawn a moment after the table.
        while not _drawn(page, row.get_by_role("cell").nth(4).inner_text()):
            continue
    finally:
        httpx.post(faults, json={"fault": "clear"}).raise_for_status()


def test_it_keeps_nobody_out(
    open_page: OpenPage,
    serious: Callable[[Any], list[str]],
    faint: Callable[[Any], list[str]],
    picture: Callable[[str, str], None],
) -> None:
    page = open_page("/coverage?range=1h")
    expect(page.locator(".gantt")).to_be_visible()
    expect(page.get_by_role("heading", name="Backfill", exact=True)).to_be_visible()
    assert serious(page) == []
    assert faint(page) == []
    picture("coverage", "/coverage?range=15m&tag=UNIT1.PUMP1.*&channel=plant")
