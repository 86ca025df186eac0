"""The inspector's pages, and the server that shows them."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from webtext.flows.inspector.bounds import Bounds
from webtext.flows.inspector.browsing import Browser, bounded
from webtext.flows.inspector.cache import Table
from webtext.flows.inspector.one_document import VIEWS, Documents
from webtext.flows.inspector.search_index import Search
from webtext.flows.inspector.selection import page_number, read
from webtext.flows.inspector.texts import Texts
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.visible import visible
from webtext.pipeline.insight.render import percent, web

HERE = Path(__file__).parent
OF_A_DOCUMENT = {"at", "show", "with"}  # in its address, beside the list that it is in


def figure(value: float | None) -> str:
    """Return a measure for people: four digits that count.

    >>> figure(0.123456), figure(1234567), figure(None)
    ('0.1235', '1,234,567', '–')
    """
    if value is None:
        return "–"
    if value == int(value) if abs(value) < 1e15 else False:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def breakable(name: str) -> Markup:
    """Return a name of ours that a line may break after a dot or an underscore.

    >>> breakable("rules.<b>.low")
    Markup('rules.<wbr>&lt;b&gt;.<wbr>low')
    """
    return Markup("<wbr>").join(re.findall(r"[^._]*[._]?", visible(name))[:-1])


def environment() -> jinja2.Environment:
    """Return the templates: all is escaped, and no character is hidden."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        # A title may hold marks that turn the order of what follows, or hide it.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters |= {"n": "{:,}".format, "percent": percent, "web": web, "figure": figure}
    made.filters["breakable"] = breakable
    return made


@dataclass(frozen=True)
class Inspector:
    """Everything that the pages are made from."""

    data: Path
    table: Table
    search: Search
    browser: Browser
    documents: Documents
    bounds: Bounds
    templates: jinja2.Environment

    def page(self, template: str, status: int = 200, **view: Any) -> Response:
        """Return a page."""
        about = {"data": self.data.resolve().name, "path": str(self.data.resolve())}
        made = self.templates.get_template(template).render(**about, **view)
        return HTMLResponse(made, status)

    # --- pages -----------------------------------------------------------------------------------

    def browse(self, request: Request) -> Response:
        """List documents."""
        fields = dict(request.query_params)
        if (added := bounded(self.table, fields)) is not None:
            return RedirectResponse("/?" + added.address, 303)
        pairs = [pair for pair in request.query_params.multi_items() if pair[0] != "measure"
                 and pair[0] not in {"low", "high"}]  # fmt: skip
        selection = read(self.table, pairs)
        view = self.browser.view(selection)
        return self.page("browse.html.jinja", here="browse", index=self.index(), **view)

    def index(self) -> dict[str, Any]:
        """Return how far the full-text index is."""
        ready = self.search.ready
        share = 1.0 if ready else self.search.share_done()
        return {"ready": ready, "share": share, "failed": self.search.failed}

    def document(self, request: Request) -> Response:
        """Show a document."""
        pairs = request.query_params.multi_items()
        own = {name: value for name, value in pairs if name in OF_A_DOCUMENT}
        rest = [pair for pair in pairs if pair[0] not in OF_A_DOCUMENT]
        selection = read(self.table, rest)
        row = self.documents.row(request.path_params["identity"])
        show = own.get("show", "text")
        if row is None or show not in VIEWS:
            raise HTTPException(404)
        at = page_number(str(int(own["at"]) + 1)) - 1 if own.get("at", "").isdecimal() else 0
        view = self.documents.view(row, selection, at, show, own.get("with", ""))
        return self.page("document.html.jinja", here="browse", **view)

    def state(self, _request: Request) -> Response:
        """Say how far the full-text index is, for the page that waits for it."""
        return Response(json.dumps(self.index()), media_type="application/json")

    # --- mistakes --------------------------------------------------------------------------------

    def mistaken(self, _request: Request, error: Exception) -> Response:
        """Say what is wrong with an address."""
        return self.page("message.html.jinja", 400, here="", said=str(error))

    def missing(self, _request: Request, error: Exception) -> Response:
        """Say that there is nothing at an address."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        said = "There is no such page or document here."
        return self.page("message.html.jinja", status, here="", said=said)


def make_app(data: Path, table: Table, folder: Path) -> Starlette:
    """Return the inspector's pages of an open table; nobody is kept out yet."""
    documents = table.directories["documents"]
    search = Search(documents, folder)
    browser = Browser(table, search, Texts(documents))
    bounds = Bounds(table)
    pages = Inspector(
        data, table, search, browser, Documents(browser, bounds), bounds, environment()
    )
    routes: list[Route | Mount] = [Route(path, page) for path, page in addresses(pages).items()]
    static = StaticFiles(directory=HERE / "static")
    app = Starlette(
        routes=[*routes, Mount("/static", static, name="static")],
        exception_handlers={UserError: pages.mistaken, HTTPException: pages.missing},
    )
    app.state.search = search
    return app


def addresses(pages: Inspector) -> dict[str, Callable[[Request], Response]]:
    """Return which page is at which address."""
    return {
        "/": pages.browse,
        "/document/{identity}": pages.document,
        "/state": pages.state,
    }
