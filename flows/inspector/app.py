"""The inspector's pages, and the server that shows them."""

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from webtext.flows.inspector.bounds import Bounds
from webtext.flows.inspector.browsing import Browser, bounded
from webtext.flows.inspector.comparing import Compare, Side
from webtext.flows.inspector.funnel_page import Funnel
from webtext.flows.inspector.labelling import Labels
from webtext.flows.inspector.moving import Mover
from webtext.flows.inspector.one_document import VIEWS, Documents
from webtext.flows.inspector.reading.cache import Table
from webtext.flows.inspector.reading.search_index import Search
from webtext.flows.inspector.reading.selection import page_number, read
from webtext.flows.inspector.reading.texts import Texts
from webtext.flows.inspector.training_steps import Runs
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.visible import visible
from webtext.pipeline.insight.render import web

HERE = Path(__file__).parent
LARGEST = 1 << 16  # bytes of a label that is sent
OF_A_DOCUMENT = {"at", "show", "with", "draw"}  # in its address, beside the list that it is in


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


def portion(share: float) -> str:
    """Return a share in per cent; only nothing is 0 % and only all is 100 %.

    >>> portion(0.5), portion(0.9997), portion(0.00004), portion(1), portion(0)
    ('50 %', '99.97 %', '0.004 %', '100 %', '0 %')
    """
    for digits in range(8):
        said = f"{100 * share:.{digits}f}"
        if float(said) not in {0.0, 100.0} or share in {0, 1}:
            return f"{said} %"
    return "under 0.0000001 %" if share < 0.5 else "over 99.9999999 %"


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
    made.filters |= {"n": "{:,}".format, "portion": portion, "web": web, "figure": figure}
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
    funnel: Funnel
    mover: Mover
    labels: Labels
    runs: Runs
    templates: jinja2.Environment
    compare: Compare | None = None  # with another build, if one was named

    def page(self, template: str, status: int = 200, **view: Any) -> Response:
        """Return a page."""
        here = self.data.resolve()
        about = {"data": called(here), "path": str(here), "comparing": self.compare is not None}
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
        view = self.browser.view(selection, self.labels.all())
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
        view["label"] = self.labels.all().get(row["id"])
        view["draw"] = own.get("draw", "")
        if view["draw"]:
            view |= {"before": None, "after": None, "list": "/labels"}
        view["address"] = request.url.path + "?" + request.url.query
        return self.page("document.html.jinja", here="labels" if view["draw"] else "browse", **view)

    def funnelled(self, _request: Request) -> Response:
        """Show where rows were lost."""
        return self.page("funnel.html.jinja", here="funnel", **self.funnel.view())

    def rows(self, request: Request) -> Response:
        """List rows that became no document."""
        fields = dict(request.query_params)
        view = self.funnel.rows(fields, page_number(fields.get("page", "1")))
        return self.page("rows.html.jinja", here="funnel", **view)

    def all_bounds(self, _request: Request) -> Response:
        """List the bounds of all rules."""
        return self.page("bounds.html.jinja", here="bounds", **self.mover.view())

    def one_bound(self, request: Request) -> Response:
        """Show a bound that can be moved."""
        bound, at = self.mover.of(request.query_params)
        return self.page("bound.html.jinja", here="bounds", **self.mover.slider(bound, at))

    def moved(self, request: Request) -> Response:
        """Say what a moved bound does, for the page's script, which shows it as text."""
        told = self.mover.told(*self.mover.of(request.query_params))
        for side in ("coming", "going"):
            told[side] = [
                {
                    "id": row["id"],
                    "title": visible(row["title"] or ""),
                    "url": visible(row["url"] or ""),
                    "measure": row["measure"] if math.isfinite(row["measure"]) else None,
                }
                for row in told[side]
            ]
        return Response(json.dumps(told), media_type="application/json")

    # --- runs ----------------------------------------------------------------------------------

    def trained(self, _request: Request) -> Response:
        """List the runs of models made from this corpus."""
        return self.page("runs.html.jinja", here="runs", **self.runs.view())

    def one_run(self, request: Request) -> Response:
        """Show the losses of a run."""
        fields = request.query_params
        ends = (fields.get("first", ""), fields.get("last", ""))
        view = self.runs.one(fields.get("run", ""), *ends)
        return self.page("run_losses.html.jinja", here="runs", **view)

    def one_step(self, request: Request) -> Response:
        """Show what a step of a run read."""
        fields = request.query_params
        page = page_number(fields.get("page", "1"))
        view = self.runs.step(fields.get("run", ""), fields.get("step", ""), page)
        return self.page("step.html.jinja", here="runs", **view)

    # --- compare -------------------------------------------------------------------------------

    def other(self) -> Compare:
        """Return the comparison.

        Raises:
            UserError: no other build was named.
        """
        if self.compare is None:
            raise UserError("no other build to compare with: name one by `webtext inspect --with`")
        return self.compare

    def compared(self, _request: Request) -> Response:
        """Show what differs between two builds."""
        return self.page("compare.html.jinja", here="compare", **self.other().view())

    def compared_rows(self, request: Request) -> Response:
        """List the documents of one kind of change."""
        fields = dict(request.query_params)
        view = self.other().rows(fields, page_number(fields.get("page", "1")))
        return self.page("compare_rows.html.jinja", here="compare", **view)

    def compared_document(self, request: Request) -> Response:
        """Show a document in both builds."""
        view = self.other().document(request.path_params["identity"])
        return self.page("compare_document.html.jinja", here="compare", **view)

    # --- labels ----------------------------------------------------------------------------------

    def labelling(self, _request: Request) -> Response:
        """Show what the labels say."""
        return self.page("labels.html.jinja", here="labels", **self.labels.view())

    def draw(self, request: Request) -> Response:
        """Go to the next document of a stratum's sample."""
        name = request.query_params.get("from", "")
        found = self.labels.next(name)
        if found is None:
            raise UserError(f"{name or '-'}: there is no document without a label in it")
        return RedirectResponse(f"/document/{found}?" + urlencode({"draw": name}), 303)

    async def label(self, request: Request) -> Response:
        """Label a document; then the next of the sample, or the same document, is shown."""
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise HTTPException(413)
        fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        identity = request.path_params["identity"]
        given = (identity, fields.get("label", ""), fields.get("reason", ""))
        await run_in_threadpool(self.labels.add, *given)
        draw = fields.get("draw", "")
        if draw and fields.get("label"):
            return RedirectResponse("/draw?" + urlencode({"from": draw}), 303)
        back = fields.get("back", "")
        own = back.startswith(f"/document/{identity}?") and back.isprintable()
        return RedirectResponse(back if own else f"/document/{identity}", 303)

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


def called(path: Path) -> str:
    """Return how a data directory is called on the pages: by the last two parts of its path."""
    return "/".join(path.parts[-2:]).lstrip("/")


def make_app(
    data: Path,
    table: Table,
    folder: Path,
    trained: Sequence[Path] | None = None,
    other: tuple[Path, Table] | None = None,
) -> Starlette:
    """Return the inspector's pages of an open table; nobody is kept out yet.

    `trained` are folders with a folder a training run; runs/ in `data` by default.
    `other` is the data directory of another build, and its table, to compare with.
    """
    documents = table.directories["documents"]
    labels = Labels(data, table)
    search = Search(documents, folder)
    browser = Browser(table, search, Texts(documents), labels)
    bounds = Bounds(table)
    runs = Runs(table, data, [data / "runs"] if trained is None else trained)
    compare = None
    if other is not None:
        mine, theirs = (
            Side(called(home.resolve()), one, Texts(one.directories["documents"]))
            for home, one in ((data, table), other)
        )
        compare = Compare(mine, theirs)
    pages = Inspector(
        data,
        table,
        search,
        browser,
        Documents(browser, bounds, runs),
        bounds,
        Funnel(table),
        Mover(table, bounds, browser.texts),
        labels,
        runs,
        environment(),
        compare,
    )
    routes: list[Route | Mount] = [Route(path, page) for path, page in addresses(pages).items()]
    static = StaticFiles(directory=HERE / "static")
    app = Starlette(
        routes=[
            *routes,
            Route("/document/{identity}/label", pages.label, methods=["POST"]),
            Mount("/static", static, name="static"),
        ],
        exception_handlers={UserError: pages.mistaken, HTTPException: pages.missing},
    )
    app.state.search = search
    app.state.inspector = pages
    return app


def addresses(pages: Inspector) -> dict[str, Callable[[Request], Response]]:
    """Return which page is at which address."""
    return {
        "/": pages.browse,
        "/document/{identity}": pages.document,
        "/state": pages.state,
        "/funnel": pages.funnelled,
        "/rows": pages.rows,
        "/bounds": pages.all_bounds,
        "/bound": pages.one_bound,
        "/moved": pages.moved,
        "/labels": pages.labelling,
        "/draw": pages.draw,
        "/runs": pages.trained,
        "/run": pages.one_run,
        "/step": pages.one_step,
        "/compare": pages.compared,
        "/compare/rows": pages.compared_rows,
        "/compare/document/{identity}": pages.compared_document,
    }
