"""The pages in a browser: by mouse and by keyboard, wide and narrow, light and dark.

Skipped where there is no Chromium (Debian's package `chromium`) or no Playwright.
"""

import os
import re
import shutil
import threading

import pytest
import uvicorn

from webtext.flows.inspector.app import make_app
from webtext.flows.inspector.gate import Gate
from webtext.flows.inspector.showing import bound
from webtext.pipeline.corpus import labels

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as Debian's package chromium"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Playwright's own pipes
]
SECRET = "of the browser's test"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
PAGES = ("/", "/?q=harbour&side=kept", "/funnel", "/bounds", "/labels",
         "/bound?rule=gopher_quality.word_count&side=low", "/runs", "/run?run=small",
         "/step?run=small&step=77", "/compare", "/compare/rows?change=came")  # fmt: skip


@pytest.fixture(scope="module")
def served(app, built, tmp_path_factory):
    """The address of the inspector, on a port of loopback, with labels of its own."""
    data = tmp_path_factory.mktemp("labelled")
    about = app.state.inspector
    other = (built.parent / "other", about.compare.b.table)
    made = make_app(data, about.table, built / "inspector", other=other)
    (data / "runs").symlink_to(built / "runs")
    (data / about.table.directories["tokens"].path.name).symlink_to(
        about.table.directories["tokens"].path
    )
    with bound(0) as listening:
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            Gate(made, port, SECRET), log_level="error", lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{port}", data
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def browser():
    flags = ["--no-sandbox"] if os.getuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield found
        found.close()


@pytest.fixture
def opened(browser, served):
    """Give pages of a browser that has the secret, and look for complaints afterwards."""
    contexts, complaints = [], []

    def page(viewport=WIDE, scheme="light"):
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        context.set_default_timeout(60_000)
        contexts.append(context)
        here = context.new_page()
        here.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        here.on("pageerror", lambda error: complaints.append(str(error)))
        here.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        here.on("request", lambda asked: asked.url.startswith(served[0]) or
                complaints.append(f"asked for {asked.url}"))  # fmt: skip
        here.goto(f"{served[0]}/?secret={SECRET.replace(' ', '+')}")
        return here

    page.complaints = complaints
    yield page
    for context in contexts:
        context.close()
    assert complaints == []


def press(page, key):
    """Press a key, once the page's scripts listen."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def test_the_keyboard_alone_is_enough(opened, served):
    page = opened()
    press(page, "/")
    page.keyboard.type('"another end"')
    press(page, "Enter")
    page.wait_for_url("**q=**")
    assert page.locator("li.found").count() == 1
    page.goto(f"{served[0]}/?side=kept")
    press(page, "j")
    press(page, "j")
    press(page, "k")
    press(page, "j")
    second = page.locator("a.open").nth(1)
    assert second.evaluate("link => link === document.activeElement")
    title = second.inner_text()
    press(page, "Enter")
    page.wait_for_url("**/document/**")
    assert page.locator("h1").inner_text() == title
    press(page, "4")
    page.wait_for_url("**show=tokens**")
    assert page.locator("mark.t1").count() > 5
    press(page, "d")
    page.wait_for_load_state()
    page.locator("button[aria-pressed=true]").wait_for()
    assert page.locator("button[aria-pressed=true]").get_attribute("value") == "drop"
    press(page, "n")
    page.wait_for_url("**at=2**")
    press(page, "b")
    page.wait_for_url(f"{served[0]}/?side=kept")
    press(page, "?")
    assert page.locator("dialog").is_visible()
    press(page, "Escape")
    page.locator("dialog").wait_for(state="hidden")


def test_filters_orders_and_links_work_with_the_mouse(opened):
    page = opened()
    page.get_by_role("link", name="Dropped").click()
    page.wait_for_url("**side=dropped")
    page.get_by_label("Order", exact=True).select_option("score")
    page.wait_for_url("**sort=score**")
    page.get_by_role("link", name=re.compile("word_count.low")).first.click()
    page.wait_for_url("**fate=**")
    assert page.locator("li.found").count() == 6
    page.get_by_title("Remove this filter").first.click()
    page.wait_for_load_state()
    assert page.locator("li.found").count() > 6


def test_a_bound_is_moved(opened, served):
    page, held = opened(), []

    def hold(route):  # a number may be typed before the script is there
        held.append(route)

    page.route("**/slider.js", hold)
    page.goto(f"{served[0]}/bounds")
    page.get_by_role("link", name=re.compile("word_count")).first.click(no_wait_after=True)
    page.wait_for_url("**/bound?**", wait_until="commit")
    assert page.locator("#comes").inner_text() == "0"
    page.locator("#at").fill("20")
    held[0].continue_()
    sync_api.expect(page.locator("#comes")).to_have_text("6", timeout=60_000)
    assert page.locator("#coming li").count() == 6
    assert page.locator("#line").inner_text() == "rules.gopher_quality.word_count.at_least = 20"
    page.wait_for_url("**at=20")
    page.locator("#range").focus()
    press(page, "End")
    sync_api.expect(page.locator("#going li")).to_have_count(10, timeout=60_000)
    assert page.locator("#comes").inner_text() == "0"


def test_from_a_spike_to_the_documents_of_its_step_and_back(opened, served):
    page = opened()
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("link", name="small").click()
    page.get_by_role("link", name="Step 77, a spike").click()
    page.wait_for_url("**step=77")
    press(page, "j")
    press(page, "Enter")
    page.wait_for_url("**/document/**")
    press(page, "6")
    page.wait_for_url("**show=training")
    page.get_by_role("link", name=re.compile("step 77 ")).click()
    page.wait_for_url("**step=77")


def test_two_builds_are_compared(opened, served):
    page = opened()
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("link", name=re.compile("^changed: ")).click()
    page.wait_for_url("**/compare/rows?**")
    page.locator("a.open").click()
    page.wait_for_url("**/compare/document/**")
    sync_api.expect(page.locator("mark.new")).to_contain_text("The end of the text")


def test_documents_are_drawn_and_labelled(opened, served):
    page = opened()
    page.goto(f"{served[0]}/labels")
    page.get_by_role("link", name="Draw").nth(1).click()
    page.wait_for_load_state()
    for key in ("k", "d", "u"):
        address = page.url
        assert "draw=dropped" in address
        press(page, key)
        page.wait_for_url(lambda url, before=address: url != before and "draw=dropped" in url)
    page.goto(f"{served[0]}/labels")
    assert "Of the dropped documents, 50 %" in page.locator("p.finding").first.inner_text()
    given = labels.read(served[1]).values()
    assert {"keep", "drop", "unsure"} <= {label.label for label in given}


def test_hostile_text_does_nothing(opened, served):
    page = opened()
    page.goto(f"{served[0]}/?q=zebra")
    page.locator("a.open").click()
    page.wait_for_url("**/document/**")
    address = page.url
    for show in ("text", "source", "duplicates", "tokens", "record", "training"):
        page.goto(f"{address}&show={show}")
        page.wait_for_load_state("networkidle")
        assert page.url == f"{address}&show={show}"  # no meta refresh is one
        assert "taken over" not in page.title()
        assert page.locator("main img, main iframe, main script, main meta").count() == 0
    # The last wall: the page's own scripts could not make markup from text if they wanted to.
    said = page.evaluate(
        "() => { try { document.body.innerHTML = 'x' } catch (e) { return e.name } }"
    )
    assert said == "TypeError"
    assert "TrustedHTML" in opened.complaints.pop()
    assert opened.complaints == []


@pytest.mark.parametrize(
    ("viewport", "scheme"),
    [
        (WIDE, "light"),
        (NARROW, "dark"),
        pytest.param(WIDE, "dark", marks=pytest.mark.slow),
        pytest.param(NARROW, "light", marks=pytest.mark.slow),
    ],
    ids=["wide-light", "narrow-dark", "wide-dark", "narrow-light"],
)
def test_every_page_fits_and_can_be_read_by_all(opened, served, viewport, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    page = opened(viewport, scheme)
    page.goto(f"{served[0]}/?fate=dedup.near")
    page.locator("a.open").first.click()
    page.wait_for_url("**/document/**")
    views = [page.url.removeprefix(served[0]) + f"&show={show}" for show in ("text", "duplicates")]
    for address in (*PAGES, *views):
        page.goto(served[0] + address)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= viewport["width"], address
        found = axe.Axe().run(page).response["violations"]
        told = [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found]
        assert told == [], address
