"""Dumps of every era in full, against a harvest as plain as it can be: all in memory, row by row.

They are the real ones where a developer has them, and else made up (`eras.py`).
The count shares no code with the harvest: it reads the dumps, the lists of names and the spelling
of keys for itself, so that a mistake would have to be made twice.
"""

import csv
import hashlib
import io
import json
import lzma
import re
from collections import Counter, defaultdict
from fnmatch import fnmatchcase

import ada_url
import zstandard

from webtext.pipeline.core.shards import Directory, read_shard
from webtext.pipeline.links import dumps
from webtext.pipeline.links.links import harvest, resolve
from webtext.pipeline.links.settings import Harvest
from webtext.pipeline.urls.named_lists import DATA


def naive_list(name):
    lines = (line.split("#")[0].strip() for line in (DATA / name).read_text().split("\n"))
    return {line for line in lines if line}


def naive_id(key):
    return hashlib.sha256(f"http://{key}".encode()).hexdigest()[:16]


def test_no_site_of_webtexts_own_list_is_excluded(real):
    text = (real / "links" / "webtext_top1000_domains.txt").read_text()
    labels = {words[1].lower() for line in text.splitlines() if len(words := line.split()) == 2}
    assert {"google", "github", "ebay"} <= labels
    excluded = {name.partition(".")[0] for name in naive_list("domains.txt")}
    assert excluded & labels == set()


TRACKERS = naive_list("tracking.txt")
SUBREDDITS = naive_list("subreddits.txt")
DOMAINS = naive_list("domains.txt")
EXTENSIONS = naive_list("extensions.txt")
UNRESERVED = [c for c in map(chr, range(33, 127)) if c.isalnum() or c in "-._~"]


def tracks(name):
    return any(fnmatchcase(name, pattern) for pattern in TRACKERS)


def naive_key(url):
    parsed = ada_url.URL(url)
    host = parsed.hostname.rstrip(".")
    while host.startswith("www.") and host.count(".") > 1:
        host = host[4:]
    if parsed.port not in ("", "80", "443"):
        host += ":" + parsed.port

    def spelt(text):
        text = re.sub("%(?![0-9A-Fa-f]{2})", "%25", text)
        text = re.sub("%[0-9A-Fa-f]{2}", lambda m: m[0].upper(), text)
        for character in UNRESERVED if "%" in text else ():
            text = text.replace(f"%{ord(character):02X}", character)
        return text

    query = sorted(filter(None, spelt(parsed.search[1:]).split("&")), key=lambda p: p.split("=")[0])
    query = [p for p in query if not tracks(p.split("=")[0].lower())]
    path = re.sub("(?i);jsessionid=[^/;]*", "", spelt(parsed.pathname))
    return host + path.rstrip("/") + "?" * bool(query) + "&".join(query)


def naive_rows(path):
    data = path.read_bytes()
    if path.suffix == ".xz":
        data = lzma.decompress(data)
    elif path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor(max_window_size=2**31).stream_reader(io.BytesIO(data))
        data = reader.read()
    text = data.decode("utf-8-sig")
    if ".csv" in path.name:
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.split("\n") if line]


def naive_target(row):
    """Return what a record links to, or the reason why nothing."""
    url = row.get("url")
    if row.get("is_self"):
        return None, "self_post"
    if not url:
        return None, "no_url"
    if row.get("crosspost_parent_list"):
        parent = row["crosspost_parent_list"][0]
        if parent["is_self"]:
            return None, "self_post"
        url = parent["url"]
    if "subreddit" in row:
        for escape, character in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
            url = url.replace(escape, character)
    if url.startswith("/"):
        url = "https://reddit.com" + url
    try:
        protocol = ada_url.URL(url).protocol
    except ValueError:
        return None, "bad_url"
    return (url, None) if protocol in ("http:", "https:") else (None, "not_http")


def naive_objection(row, url):
    parsed = ada_url.URL(url)
    last = parsed.pathname.split("/")[-1].lower()
    if row.get("over_18"):
        return "over_18"
    if row.get("removed_by_category"):
        return "deleted"
    if row.get("subreddit", "").lower() in SUBREDDITS:
        return "subreddit"
    if any(f".{parsed.hostname}".endswith(f".{name}") for name in DOMAINS):
        return "domain"
    if "." in last and ":" not in last and last.split(".")[-1] in EXTENSIONS:
        return "extension"
    return None


FATES = {  # that these dumps have lines of
    f"links.{name}"
    for name in ("self_post", "no_url", "bad_url", "not_http", "over_18", "deleted", "domain",
                 "extension", "repeated", "low_score", "duplicate")
}  # fmt: skip


def naive_counts(paths):
    counts, pages, seen = Counter(), defaultdict(list), set()
    for path in paths:
        for row in naive_rows(path):
            url, reason = naive_target(row)
            reason = reason or naive_objection(row, url)
            if reason is None:
                key = naive_key(url)
                told = (row["id"], row.get("subreddit"), key)
                if told not in seen:
                    seen.add(told)
                    pages[key].append(int(row.get("score") or row.get("num_points") or 0))
                    continue
                reason = "repeated"
            counts[f"links.{reason}"] += 1
    high = {key: scores for key, scores in pages.items() if max(scores) >= 3}
    low = sum(len(scores) for key, scores in pages.items() if key not in high)
    counts["links.low_score"] = low
    counts["links.duplicate"] = sum(len(scores) - 1 for scores in high.values())
    return high, {reason: number for reason, number in counts.items() if number}


def test_dumps_in_full_agree_with_a_naive_count(dumps_of_all_eras, tmp_path):
    patterns = ["*.zst", "*.xz", "real_hits_in_miniweb.jsonl"]
    paths = sorted(path for pattern in patterns for path in dumps_of_all_eras.glob(pattern))
    assert len(paths) == 9
    assert resolve(patterns, dumps_of_all_eras) == paths
    out = Directory(tmp_path / "links-0")
    out.path.mkdir()
    [passage] = harvest(Harvest(), paths, out, 0)
    high, counts = naive_counts(paths)
    assert passage.read == sum(len(naive_rows(path)) for path in paths) > 4000
    assert set(passage.dropped) == FATES
    assert passage.dropped == counts
    found = {link["id"]: link for path in out.shards() for link in read_shard(path).to_pylist()}
    assert found.keys() == {naive_id(key) for key in high}
    for key, scores in high.items():
        link = found[naive_id(key)]
        assert link["score"] == max(scores)
        assert len(link["submissions"]) == len(scores)


def test_no_line_of_the_dumps_is_not_understood(dumps_of_all_eras):
    flaws = Counter()
    for path in sorted(dumps_of_all_eras.iterdir()):
        if path.is_file() and path.suffix in (".zst", ".xz", ".jsonl"):
            flaws.update(type(record) for _, record in dumps.records(path))
    assert flaws[dumps.Flaw] == 0
