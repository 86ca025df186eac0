"""Write a first recipe, and look up the settings of recipes."""

import difflib
import json
import textwrap
import tomllib
from dataclasses import asdict
from pathlib import Path

import click

from webtext.flows.building.output import echo
from webtext.flows.commands import options
from webtext.pipeline.core.errors import UserError

WIDTH = 88  # columns of text of an explanation


@click.command()
@click.argument("key", required=False, default="")
@options.as_json
def settings(key: str, as_json: bool) -> None:
    """Print what can be set in a recipe: each setting's default, type and meaning.

    KEY is a setting, such as links.min_score, or the beginning of several, such as crawl.
    """
    from webtext.flows.building.reference import settings as all_settings

    known = list(all_settings())
    found = [one for one in known if not key or one.path == key or one.path.startswith(f"{key}.")]
    if not found:
        ends = {one.path.rpartition(".")[2]: one.path for one in known}
        near = difflib.get_close_matches(key, [*ends, *(one.path for one in known)], n=1)
        hint = f"; did you mean {ends.get(near[0], near[0])}?" if near else "."
        tables = ", ".join(dict.fromkeys(one.path.partition(".")[0] for one in known))
        raise UserError(f"{key}: no such setting{hint} The tables are {tables}")
    if as_json:
        echo(json.dumps([asdict(one) for one in found], default=str))
        return
    about = ""
    for one in found:
        if one.about != about:
            about = one.about
            first = about.partition("\n\n")[0] if not key else about
            echo(f"\n[{one.path.rpartition('.')[0]}]  {first}\n")
        echo(f"{one.line}    {one.kind}")
        if one.meaning:
            echo(textwrap.indent(textwrap.fill(one.meaning, WIDTH), "    "))


BEGINNINGS = {
    "dumps": "links.sources = {paths}  # dumps of submissions, or lists of URLs",
    "warc": "pages.warc = {paths}  # pages that somebody has crawled already",
    "texts": "documents.sources = {paths}  # JSON Lines, Parquet, CSV, text, HTML; folders of them",
}
USUAL_PATHS = {"dumps": "dumps/*", "warc": "warc/*.warc.gz", "texts": "texts"}
RECIPE = """\
# A recipe: it says only what differs from the defaults. `webtext settings` prints them all.
#
#     webtext plan {name}     what would be made
#     webtext build {name}    make it; stop it whenever you like, the same command goes on

{beginning}
{contact}
language.keep = {languages}  # ISO 639-1; every other language is dropped

# What people change most often, with its default:
#
# links.min_score = 3                       # votes that a link needs
# links.exclude_domains = ["wikipedia.org"] # with all names under them
# rules.gopher_quality.enabled = true       # the rules of Gopher on quality
# duplicates.verify_at = 0.7                # similarity from which on two texts are the same
# tokens.val_fraction = 0.005               # of the sites, to measure the model by
"""


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("corpus.toml"))
@click.option("--yes", is_flag=True, help="Ask nothing: dumps in dumps/, English, no contact yet.")
def init(file: Path, yes: bool) -> None:
    """Write a commented recipe to FILE (corpus.toml), after three questions; FILE - prints it."""
    from webtext.flows.building.settings import build

    printed = str(file) == "-"
    if not printed and file.exists():
        raise UserError(f"{file} is there already; name another file, or move that one elsewhere")
    kind, contact, languages = "dumps", "", "en"
    paths = USUAL_PATHS[kind]
    if not yes:
        kind = click.prompt("Begin with dumps and lists of links, WARC files, or own texts?",
                            type=click.Choice(list(BEGINNINGS)), default=kind,
                            err=printed)  # fmt: skip
        paths = click.prompt("Where are they? Paths, with commas between",
                             default=USUAL_PATHS[kind], err=printed)  # fmt: skip
        if kind == "dumps":
            contact = click.prompt(
                "How can the owners of sites reach you? A URL or a mail address, asked for by the "
                "crawl", default="", show_default=False, err=printed,
            )  # fmt: skip
        languages = click.prompt("Which languages? ISO 639-1, with commas between", default="en",
                                 err=printed)  # fmt: skip
    text = RECIPE.format(
        name="corpus.toml" if printed else file,
        beginning=BEGINNINGS[kind].format(paths=listed(paths)),
        contact=(
            f"crawl.contact = {options.toml_text(contact)}" if contact
            else '# crawl.contact = "https://example.org/your-crawl"  # needed before a crawl'
            if kind == "dumps" else ""
        ),
        languages=listed(languages),
    )  # fmt: skip
    build(tomllib.loads(text), str(file))  # the written text must be a valid recipe
    if printed:
        echo(text, nl=False)
        return
    file.write_text(text, encoding="utf-8")
    echo(f"{file}: next, see what it would make: webtext plan {file}", err=True)


def listed(words: str) -> str:
    """Return comma-separated words as a TOML list.

    >>> listed("en, de")
    '["en", "de"]'
    """
    named = [word.strip() for word in words.split(",") if word.strip()]
    return f"[{', '.join(map(options.toml_text, named))}]"
