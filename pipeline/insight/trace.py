"""The life of one URL: who linked it, what became of it at each stage, and what decided that.

It is told from the files that the stages left, so it is the same story however long ago they ran.
"""

import difflib
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.shards import Directory, read_batches
from webtext.pipeline.core.visible import on_one_line
from webtext.pipeline.insight.lookup import Row, first_row, lookup, shard_of, site_urls
from webtext.pipeline.insight.report import MEANINGS, latest
from webtext.pipeline.urls import urls

SHOWN = 10  # submissions told to people; JSON has all
KINDS = {
    "dedup.url": "another link to the same page",
    "dedup.exact": "an exact copy",
    "dedup.near": "a near copy",
}

# The keys of a trace, in the order in which a URL meets the stages. `clean` and `decontaminate` are
# only there where they dropped the document.
STAGES = (
    *("links", "crawl", "extract", "clean", "language", "rules", "decontaminate"),
    *("paragraphs", "dedup", "corpus", "tokens"),
)


def trace(data: Path, url: str) -> Row:
    """Return what each stage knows of a URL, under its name; stages that never saw it are absent.

    Beside them stand `url`, `key`, `id`, and `fate`: "kept", or the reason why it was dropped.

    Raises:
        UserError: nothing has been built, or no stage ever saw the URL; names the nearest one.
    """
    made = latest(data)
    try:
        key, identity = urls.key(url), urls.url_id(url)
    except ValueError as error:
        return unreadable(made, url, str(error))
    found: Row = {"url": url, "key": key, "id": identity, "fate": "kept"}
    for step in (follow_links, follow_pages, follow_documents, follow_paragraphs):
        found |= step(made, identity, urls.domain(url))
        if found["fate"] != "kept":
            return found
    if not any(stage in found for stage in STAGES):
        raise unknown(made, url, key, identity)
    return found | follow_corpus(made, identity)


# --- following a URL -----------------------------------------------------------------------------


def follow_links(made: Mapping[str, Directory], identity: str, domain: str) -> Row:
    """Return who linked to it, and with what score."""
    if "links" not in made:
        return {}
    hint = shard_of(made["links"], domain)
    if kept := first_row(made["links"], identity, hint=hint):
        shard, place, row = kept
        told = {name: row[name] for name in ("url", "domain", "score", "submissions")}
        return {"links": {**told, "shard": shard, "row": place}}
    rows = [row for path in made["links"].shards("dropped") for _, row in lookup(path, identity)]
    return dropped_links(rows) if rows else {}


def dropped_links(rows: list[Row]) -> Row:
    """Return what is known of a URL of which every submission was dropped."""
    told = [{name: value for name, value in row.items() if name != "id"} for row in rows]
    return {"links": {**told[0], "records": told}, "fate": told[0]["dropped_by"]}


def follow_pages(made: Mapping[str, Directory], identity: str, domain: str) -> Row:
    """Return how the fetch went, or which record of a WARC file it was."""
    if "pages" not in made:
        return {}
    hint = shard_of(made["pages"], domain, "outcomes")
    if not (outcome := first_row(made["pages"], identity, "outcomes", hint)):
        return {}
    shard, _, row = outcome
    told = {name: value for name, value in row.items() if name not in {"id", "domain"}}
    if row["dropped_by"] is None:
        return {"crawl": {**told, "shard": shard}}
    meaning = MEANINGS.get(row["dropped_by"], "")
    return {"crawl": {**told, "shard": shard, "meaning": meaning}, "fate": row["dropped_by"]}


def follow_documents(made: Mapping[str, Directory], identity: str, domain: str) -> Row:
    """Return what was extracted, its language, and what the rules measured."""
    if "documents" not in made:
        return {}
    directory = made["documents"]
    hint = shard_of(made["pages"], domain, "outcomes") if "pages" in made else None
    kept = first_row(directory, identity, hint=hint)
    if not (document := kept or first_row(directory, identity, "dropped", hint)):
        return {}
    shard, _, row = document
    reason = row.get("dropped_by")
    stage = reason.partition(".")[0] if reason else None
    found: Row = {"fate": reason} if reason else {}
    for name, told in told_of_document(directory, row, shard).items():
        if name == stage:
            why = {"dropped_by": reason, "dropped_value": row["dropped_value"]}
            return {**found, name: {**told, **why}}
        if name not in {"clean", "decontaminate"}:
            found[name] = told
    return found


def follow_paragraphs(made: Mapping[str, Directory], identity: str, _domain: str) -> Row:
    """Return what is left of the text without the paragraphs that other documents have."""
    if "paragraphs" not in made:
        return {}
    kept = first_row(made["paragraphs"], identity)
    if not (document := kept or first_row(made["paragraphs"], identity, "dropped")):
        return {}
    told: Row = {"characters": len(document[2]["text"] or "")}
    if kept:
        return {"paragraphs": told}
    why = {name: document[2][name] for name in ("dropped_by", "dropped_value")}
    return {"paragraphs": told | why, "fate": why["dropped_by"]}


def told_of_document(directory: Directory, row: Row, shard: int) -> Row:
    """Return what each stage of the chain found out about a document."""
    text = row["text"] or ""
    stages = directory.manifest().get("stages", {})
    about = {name: row[name] for name in ("title", "author", "date", "sitename")}
    wanted = stages.get("language", {}).get("settings", {})
    return {
        "extract": {"characters": len(text), "words": len(text.split()), **about, "shard": shard},
        "clean": {},
        "language": {
            "language": row["language"],
            "probability": row["language_probability"],
            "wanted": {
                name: wanted[name] for name in ("keep", "min_probability") if name in wanted
            },
        },
        "rules": measures(stages, text, row["final_url"] or row["url"] or ""),
        "decontaminate": {},
    }


def measures(stages: Row, text: str, url: str = "") -> Row:
    """Return every rule's measure beside its threshold, by the settings that the build recorded.

    The text is the stored one: where a rule edits what passes, that is the edited text.
    """
    from webtext.pipeline.filters.rules import Rules

    if "rules" not in stages:
        return {}
    recorded = stages["rules"]
    if recorded["version"] != Rules.version:
        return {
            "note": f"made by version {recorded['version']} of the rules, and this is version "
            f"{Rules.version}: what they measured is not known any more"
        }
    try:
        rules: Rules = rebuilt(Rules, recorded["settings"])
    except (TypeError, ValueError) as error:
        return {"note": f"the recorded settings fit no rules of this version ({error})"}
    return {"measures": {asked.rule: asked.told for asked in rules.measures(text, url)}}


def rebuilt(kind: type, values: Mapping[str, Any]) -> Any:
    """Return a frozen dataclass of the plain values that a manifest holds.

    Raises:
        TypeError: a value that it has no field for.
        ValueError: a value that it does not take.
    """
    hints = typing.get_type_hints(kind)
    known = {field.name for field in fields(kind)}
    arguments = {}
    for name, value in values.items():
        if name in known and is_dataclass(hints[name]) and isinstance(value, dict):
            arguments[name] = rebuilt(typing.cast("type", hints[name]), value)
        else:
            arguments[name] = tuple(value) if isinstance(value, list) else value
    return kind(**arguments)


def follow_corpus(made: Mapping[str, Directory], identity: str) -> Row:
    """Return its cluster, its place in the corpus, and that of its tokens."""
    found: Row = {}
    if "duplicates" in made:
        found["dedup"] = cluster(made, identity)
        if "dropped_by" in found["dedup"]:
            return {**found, "fate": found["dedup"]["dropped_by"]}
    if "corpus" in made and (kept := first_row(made["corpus"], identity)):
        shard, place, row = kept
        sizes = {name: row[name] for name in ("bytes", "duplicates")}
        path = str(made["corpus"].shard(shard))
        found["corpus"] = {"shard": shard, "row": place, **sizes, "file": path}
        if "tokens" in made:
            for _, entry in lookup(made["tokens"].path / "documents.parquet", identity):
                found["tokens"] = {
                    name: entry[name] for name in ("split", "shard", "start", "length")
                }
    return found


def cluster(made: Mapping[str, Directory], identity: str) -> Row:
    """Return what it is a copy of, or what are copies of it."""
    if not (found := first_row(made["duplicates"], identity)):
        return {"cluster": None, "copies": 0}
    row = found[2]
    members = [
        member
        for path in made["duplicates"].shards()
        for batch in read_batches(path, rows=1 << 16)
        for member in batch.filter(pc.equal(batch["cluster"], row["cluster"])).to_pylist()
    ]
    told: Row = {"cluster": row["cluster"], "documents": len(members), "keeper": row["keeper"]}
    if row["reason"] is None:
        others = [member for member in members if member["id"] != identity]
        copies = [{name: m[name] for name in ("id", "jaccard", "reason")} for m in others]
        return {**told, "copies": len(copies), "of": copies[:20]}
    keeper = first_row(made["documents"], row["keeper"]) if "documents" in made else None
    return {
        **told,
        "keeper_url": keeper[2]["url"] if keeper else None,
        "jaccard": row["jaccard"],
        "snapshot": row["snapshot"],
        "large": row["large"],
        "dropped_by": row["reason"],
        "dropped_value": row["jaccard"],
    }


# --- URLs that are not there ---------------------------------------------------------------------


def unreadable(made: Mapping[str, Directory], url: str, why: str) -> Row:
    """Return the fate of something linked that is no URL: it has no id, so it is looked for as is.

    Raises:
        UserError: nobody linked to it.
    """
    rows = [
        row
        for path in (made["links"].shards("dropped") if "links" in made else ())
        for batch in read_batches(path, rows=1 << 14)
        for row in batch.filter(pc.equal(batch["url"], url)).to_pylist()
    ]
    if not rows:
        raise UserError(f"{url}: no URL that could be traced ({why}); give it as it was linked")
    return {"url": url, "key": None, "id": None, **dropped_links(rows)}


def unknown(made: Mapping[str, Directory], url: str, key: str, identity: str) -> UserError:
    """Say what was looked for in vain, and what is nearest to it."""
    domain = urls.domain(url)
    known = list(site_urls(made, domain))
    near = difflib.get_close_matches(url, known, n=1, cutoff=0.0)
    hint = f"nearest: {near[0]}" if near else f"nothing of {domain} was ever linked"
    return UserError(f"{url}: never seen; looked for {key} (id {identity}); {hint}")


# --- telling it ----------------------------------------------------------------------------------


def describe(found: Row) -> str:
    """Return a trace as lines for people."""
    head = [found["url"], f"fate: {found['fate']}"]
    if found["id"]:
        head.append(f"id: {found['id']}, of the key {found['key']}")
    tellers = {
        "links": tell_links,
        "crawl": tell_crawl,
        "extract": tell_extract,
        "clean": lambda _: ["nothing was left of the text"],
        "language": tell_language,
        "rules": tell_rules,
        "decontaminate": lambda _: ["holds word n-grams of an evaluation set"],
        "paragraphs": lambda row: [f"{row['characters']:,} characters that no other page has"],
        "dedup": tell_dedup,
        "corpus": lambda row: [f"row {row['row']:,} of {row['file']}, {row['bytes']:,} bytes"],
        "tokens": tell_tokens,
    }
    for stage in STAGES:
        if stage in found:
            lines = tellers[stage](found[stage])
            if reason := found[stage].get("dropped_by"):
                lines.insert(0, f"dropped: {reason}{value_of(found[stage])}")
            head += [f"{stage * (not n):<9} {told}" for n, told in enumerate(lines)]
    return "\n".join(map(on_one_line, head))  # whatever a title has in it


def value_of(row: Row) -> str:
    """Return the measure that decided, where there is one."""
    value = row.get("dropped_value")
    return "" if value is None else f", at {value:g}"


def tell_links(row: Row) -> list[str]:
    """Say who linked to it."""
    if "records" in row:
        return [
            f"line {record['line']:,} of {record['source']}, score {record['score']}"
            for record in row["records"][:SHOWN]
        ]
    submissions = row["submissions"] or []
    score = "no score" if row["score"] is None else f"score {row['score']:,}"
    lines = [f"{score}, of {len(submissions)} submissions" if submissions else score]
    for given in submissions[:SHOWN]:
        where = f"r/{given['subreddit']}" if given["subreddit"] else given["source"]
        title = f": {given['title']}" if given["title"] else ""
        lines.append(f"{day(given['created'])} {where}, score {given['score']}{title}")
    return lines


def day(moment: datetime | None) -> str:
    """Return a time's day.

    >>> day(datetime(2017, 12, 31, 23)), day(None)
    ('2017-12-31', 'some day')
    """
    return moment.strftime("%Y-%m-%d") if moment else "some day"


def tell_crawl(row: Row) -> list[str]:
    """Say how the fetch went."""
    lines = [row["meaning"]] if row.get("meaning") else []
    if row["status"] is not None:
        size = f"{row['body_bytes'] or 0:,} bytes"
        lines.append(f"status {row['status']}, {row['content_type'] or 'no type'}, {size}")
    lines += [f"redirected to {hop}" for hop in [*(row["redirects"] or []), row["final_url"]][1:]]
    if row["started"]:
        tries = f", attempt {row['attempts']}" if row["attempts"] else ""
        lines.append(f"on {day(row['started'])}{tries}")
    if row["robots"]:
        lines.append(f"robots: {row['robots']}")
    if row["warc_file"]:
        lines.append(f"{row['warc_file']} at byte {row['warc_offset']}")
    lines += [f"unchanged since {row['payload_file']}"] if row.get("revisit") else []
    return lines


def tell_extract(row: Row) -> list[str]:
    """Say what text there was."""
    lines = [f"{row['characters']:,} characters, {row['words']:,} words"]
    return lines + [f"{name}: {row[name]}" for name in ("title", "author", "date") if row[name]]


def tell_language(row: Row) -> list[str]:
    """Say which language it is in."""
    if row["language"] is None:
        return ["none was recognised"]
    wanted = ", ".join(f"{name} {value}" for name, value in row["wanted"].items())
    return [
        f"{row['language']} at {row['probability']:.4f}" + (f" (wanted: {wanted})" * bool(wanted))
    ]


def tell_rules(row: Row) -> list[str]:
    """Say what each rule that had a say measured."""
    if "note" in row:
        return [row["note"]]
    lines = []
    for name, asked in row.get("measures", {}).items():
        if asked["enabled"]:
            bounds = [
                f"{word} {asked[bound]:g}"
                for word, bound in (("at least", "at_least"), ("at most", "at_most"))
                if asked[bound] is not None
            ]
            mark = "" if asked["kept"] else "  <- objects"
            lines.append(f"{name} {asked['measure']:.4g} ({', '.join(bounds)}){mark}")
    return lines or ["no rule had a say"]


def tell_dedup(row: Row) -> list[str]:
    """Say what it is a copy of."""
    if row["cluster"] is None:
        return ["no copies"]
    if "copies" in row:
        return [f"kept for {row['copies']} copies: {', '.join(copy['id'] for copy in row['of'])}"]
    where = f", of the snapshot {row['snapshot']}" if row["snapshot"] else ""
    return [
        f"{KINDS[row['dropped_by']]}, of {row['documents']} in the cluster",
        f"kept in its stead: {row['keeper_url'] or row['keeper']}{where}",
    ]


def tell_tokens(row: Row) -> list[str]:
    """Say where its tokens are."""
    return [f"{row['split']} shard {row['shard']}, {row['length']:,} from token {row['start']:,}"]
