"""The pages that are served beside the API.

How a page is added: a module of its own here with `async def build(page: Page)`, and
its line in `registry.ENTRIES` (key, title, path and letter of all nine are in `names`).
Then it is served, and in the navigation. `build` is called for each browser that opens
it:

- `page.query` is its state, as the address has it; `page.here(...)` is the address with
  another state, `page.href(key, ...)` that of another page. Filters are plain forms
  (`tables.filters`, with `parts.text_field`, `parts.select`, `tables.range_fields`),
  sorting and paging are links (`tables.table`, `tables.pager`): so all of it is in the
  address, and links can be shared. Addresses that others link to: `messages` takes
  `id`, `channel`, `node`, `state`, `tag`, `lane`, `text` and a range; `tags` and
  `coverage` take `channel` and `tag`; `errors` takes `channel` and `node`; `graph`
  takes `channel` and `node`.
- `await page.add(render, live=True)` adds a part: `render` gives `Markup`, made with
  `markup.tag` (which escapes texts) and `parts`; it may be async, and may raise any
  `PichannelsError`, which is shown in its place. A live part is written again after
  each poll of the instance, which all pages share (`page.watch`: status, rates,
  incidents); what changed is merged into what is there, so that focus and what is typed
  stay. Give things that move a `data-key`. `region.refresh()` writes it at other times,
  `page.follow` hears events, `page.begin` does something beside.
- What is read comes from `page.console.data`, with `await page.current()` as who.
- `page.on(act, handler, role)` says what a click on `data-act` does; `page.action(...)`
  makes its button for those who may, and nothing for others. `page.run` does something
  to the instance, `page.bulk` takes the typed count first, `page.dialog` asks,
  `page.toasts` tells, `page.cli` copies the same as a command.
- Looks: one style sheet, `assets/pages.css`, whose tokens are at its top. Styles of one
  page alone are in `assets/KEY.css`, its scripts in `assets/KEY.js`; both are loaded
  with it. Scripts draw again when `window.pichannels.onRefresh(drawer)` calls them.
- Its test is `tests/ui/pages/test_KEY.py`, with the fixtures of the conftest there.
"""

from __future__ import annotations

from pichannels.ui.app import Pages
from pichannels.ui.pages.login import ASSETS, LOGIN
from pichannels.ui.pages.serving import add_pages

__all__ = ["PAGES"]

PAGES: Pages | None = Pages(add_pages, (LOGIN, f"{ASSETS}/"), LOGIN)
"""All of them."""
