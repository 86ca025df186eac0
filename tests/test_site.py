"""The documentation: it is built without a warning, asks nobody else for anything, and is true."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.pipeline.filters.own.test_own_sources import SENTENCES
from webtext.flows.commands.command_line import cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FENCED = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:Write (?:this|that|it) to|Name the file in a recipe,|a recipe,) `([^`]+)`")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages, as `make docs` makes them, of a copy of their folder."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(DOCS, folder / "docs", ignore=shutil.ignore_patterns("reference"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", source, folder / "html"]
    made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert made.returncode == 0, made.stderr
    return folder / "html"


def test_it_is_built_without_a_warning_and_links_every_page(site):
    first = (site / "index.html").read_text(encoding="utf-8")
    for path in DOCS.glob("*.md"):
        assert path.stem == "index" or f'href="{path.stem}.html"' in first, path


def test_a_page_asks_nobody_else_for_anything(site):
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=\"([^\"]+)\"", page)
        assert loaded, path
        assert not [one for one in loaded if one.startswith(("http:", "https:", "//"))], path


def test_the_reference_has_every_command_setting_and_fate(site):
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert all(f"webtext {name}" in commands for name in cli.commands)
    settings = (site / "reference" / "settings.html").read_text(encoding="utf-8")
    assert "at_least" in settings
    assert "min_score" in settings
    assert "links.low_score" in (site / "reference" / "fates.html").read_text(encoding="utf-8")
    assert "sketches" in (site / "reference" / "python.html").read_text(encoding="utf-8")


def test_every_link_of_the_readme_leads_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) > 8
    for link in links:
        assert link.startswith("https://") or (ROOT / link).exists(), link


# --- what a page says to do, done ----------------------------------------------------------------


def prose(number):
    """Return a text that passes the rules, of other words for each number."""
    return "".join(SENTENCES.replace("lake", f"{chr(97 + number % 26)}{number}lake") for _ in "ab")


def rows(folder, name, count=60):
    found = [{"url": f"http://h{n}.example/{n}", "text": prose(n)} for n in range(count)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))


def own_texts(folder):
    rows(folder, "own.jsonl")
    (folder / "pages").mkdir()
    (folder / "pages" / "one.html").write_text(f"<h1>One</h1><p>{prose(120)}</p>")


def german(folder):
    way = "Der Weg war lang und die Sonne schien hell auf die Dächer der kleinen Stadt. "
    found = []
    for n in range(60):
        ends = (f"{way}Am Abend des {n + m}. Tages gingen die Leute heim." for m in range(9))
        found.append({"url": f"http://h{n}.example/{n}", "text": " ".join(ends)})
    (folder / "texte.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))


def own_site(folder):
    """A server of pages on a port of its own, which the page calls 8000; it ends with the test."""
    (folder / "site").mkdir()
    for n in range(12):
        page = f"<!doctype html><title>{n}</title><h1>{n}</h1><p>{prose(n)}</p>"
        (folder / "site" / f"{n}.html").write_text(page)
    serve = partial(Quiet, directory=str(folder / "site"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    Thread(target=server.serve_forever, daemon=True).start()
    return {"localhost:8000": f"localhost:{server.server_port}"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


GIVEN = {
    "own-site.md": own_site,
    "own-rule.md": lambda folder: rows(folder, "texts.jsonl"),
    "own-texts.md": own_texts,
    "own-tokenizer.md": german,
    "tutorial.md": lambda _folder: None,
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", GIVEN)
def test_what_a_page_says_to_do_works(page, tmp_path):
    """Blocks of `sh` are run, those of Python too unless they are said to be a file."""
    told = GIVEN[page](tmp_path) or {}
    text = (DOCS / page).read_text(encoding="utf-8")
    for here, there in told.items():
        text = text.replace(here, there)
    around = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = 0
    waiting = {}  # a file that is named after its block
    for block in FENCED.finditer(text):
        _, language, body = block.groups()
        before = text[: block.start()].rstrip().rpartition("\n\n")[2]
        after = text[block.end() :].lstrip().partition("\n\n")[0]
        if language in ("toml", "python") and (named := NAMED.search(before) or NAMED.match(after)):
            waiting[named[1]] = body
            for name, content in waiting.items():
                (tmp_path / name).write_text(content, encoding="utf-8")
            continue
        if language not in ("sh", "python"):
            assert language in ("console", "text", "toml", "sql"), (page, language)
            continue
        how = ["bash", "-euo", "pipefail", "-c", body]
        how = how if language == "sh" else [sys.executable, "-c", body]
        done = subprocess.run(
            how, cwd=tmp_path, env=around, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (body, done.stdout[-2000:], done.stderr[-2000:])
        ran += 1
    assert ran, page
