"""Made-up dumps of every era, spelt and packed as the real ones are, for who has none of them."""

import csv
import io
import json
import lzma
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

HOSTS = [
    "money.example.com",
    "www.blog.co.uk",
    "news.org",
    "imgur.com",
    "i.imgur.com",
    "a.b.de:8080",
    "lab.io",
    "en.wikipedia.org",
    "youtube.com",
    "www.paper.net:80",
    "xn--bcher-kva.ch",
]
PATHS = [
    "/",
    "/2005/07/03/a-story.html",
    "/watch",
    "/a/b/c.JPG",
    "/caf%c3%a9/%7euser/x%2Fy",
    "/p;jsessionid=0A1B",
    "/d.pdf",
    "/x.gif",
    "/index.php/",
    "/50%-off",
    "/Äö",
    "/c.html:9",
]
QUERIES = [
    "?",
    "?id={n}",
    "?b=2&a=1&amp;utm_source=r",
    "?utm_medium=x",
    "?q=a%20b&fbclid=z",
    "?v={n}#t",
    "#top",
    "?&&a",
    "?s=&lt;{n}&gt;",
]
ODD_URLS = ["", None, "/r/pics/comments/1/", "ftp://a.org/x", "mailto:a@b.org", "http://", "no url"]
TITLES = ["A story", "&lt;3 Überschrift", "Why\tnot?", "\u2028 日本語", 'He said "no"', "😀"]
SUBREDDITS = ["reddit.com", "pics", "Python", "programming", "test", "de"]
IMAGE = {"url": "https://i.test/a.jpg?s=1&amp;t=2", "width": 640}
FIELDS = {  # that say nothing to a harvest; an API's answer has them all
    **dict.fromkeys(("likes", "media", "suggested_sort")),
    "media_embed": {},
    "mod_reports": [],
    "edited": False,
    "gilded": 0,
    "author_flair_richtext": [{"e": "text", "t": '\\ {"url": 1}'}],
    "preview": {"images": [{"source": IMAGE}]},
}
WINDOW = 31  # log2 of the bytes that today's dumps say they need
BLOCK = 1 << 17  # bytes that one block of a frame may hold
COUNTS = {"2005-06": 100, "2005-07": 1000, "table": 2000, "api": 600, "news": 500, "hits": 14}


def posts(count: int, seed: str) -> Iterator[dict[str, Any]]:
    """Yield submissions in which all that a harvest decides by occurs."""
    rng = random.Random(seed)
    for number in range(count):
        page = f"http{rng.choice(('', 's'))}://{rng.choice(HOSTS)}{rng.choice(PATHS)}"
        url = rng.choice(ODD_URLS) if rng.random() < 0.1 else page + rng.choice(QUERIES)
        post: dict[str, Any] = {
            "id": f"{seed}{number - (rng.random() < 0.05):x}",
            "subreddit": rng.choice(SUBREDDITS),
            "created_utc": 1_120_000_000 + number,
            "title": rng.choice(TITLES),
            "url": url.format(n=rng.randrange(300)) if url else url,
            "is_self": rng.random() < 0.1,
            "over_18": rng.random() < 0.06,
            "score": int(rng.paretovariate(0.7)) - 1,
        }
        yield post


def modern(post: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Give a submission what later years added."""
    post |= FIELDS | {"created_utc": float(post["created_utc"])}
    if rng.random() < 0.1:
        post["removed_by_category"] = rng.choice((None, "moderator", "deleted"))
    if rng.random() < 0.1 and post["url"]:
        parent = {"url": rng.choice(("https://c.org/x", "/r/a/")), "is_self": rng.random() < 0.4}
        post["crosspost_parent_list"] = [post | parent]
        post["is_self"] = False  # a crosspost's own; what it shows is its parent's
    shuffled = list(post)
    rng.shuffle(shuffled)
    return {name: post[name] for name in shuffled}


def frame(data: bytes) -> bytes:
    """Return a Zstandard frame of blocks as they are, whose head asks for a window of 2 GiB."""
    parts = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    head = b"\x28\xb5\x2f\xfd\x00" + bytes([(WINDOW - 10) << 3])
    sizes = [len(part) << 3 | (number == len(parts)) for number, part in enumerate(parts, 1)]
    blocks = zip(sizes, parts, strict=True)
    return head + b"".join(size.to_bytes(3, "little") + part for size, part in blocks)


def spelt(rows: Iterator[dict[str, Any]], era: str) -> bytes:
    if era == "slashes":  # as PHP and the earliest dumps have it
        lines = (json.dumps(row, separators=(",", ":")).replace("/", r"\/") for row in rows)
    elif era == "plain":
        lines = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    else:
        lines = map(json.dumps, rows)
    return "".join(line + "\n" for line in lines).encode()


def make(folder: Path) -> Path:
    """Write the dumps, under the names of the real ones."""
    folder.mkdir()
    for month in ("2005-06", "2005-07"):
        said = spelt((post | FIELDS for post in posts(COUNTS[month], month[-1])), "slashes")
        (folder / f"RS_{month}.zst").write_bytes(frame(said))
        (folder / f"RS_v2_{month}.xz").write_bytes(lzma.compress(said))
    rng = random.Random(1)
    pack = zstandard.ZstdCompressor().compress
    table = spelt(posts(COUNTS["table"], "t"), "plain")
    (folder / "RS_top2013_sample.jsonl.zst").write_bytes(pack(table))
    api = spelt((modern(post, rng) for post in posts(COUNTS["api"], "p")), "api")
    (folder / "reddit_api_submissions_praw.jsonl.zst").write_bytes(pack(api))
    paired = spelt(posts(COUNTS["api"], "m"), "api")
    (folder / "miniweb_submissions_PAIRED.jsonl.zst").write_bytes(pack(paired))
    (folder / "real_hits_in_miniweb.jsonl").write_bytes(spelt(posts(COUNTS["hits"], "h"), "api"))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "title", "url", "num_points", "num_comments", "author", "created_at"])
    for post in posts(COUNTS["news"], "n"):
        if (post["url"] or "").startswith("/"):
            continue  # an address within Reddit
        row = [post["id"], post["title"], post["url"], post["score"], 7, "a", "8/4/2016 11:52"]
        writer.writerow(row)
    table_of_news = ("\ufeff" + out.getvalue()).encode()
    (folder / "hacker_news_2015-2016.csv.zst").write_bytes(pack(table_of_news))
    return folder
