"""Harvest against merely decompressing and parsing the same dump, each on one core, in one run.

    python -m tests.bench.harvest [DUMP...] [--lines 200000]

Without dumps, it takes the real lines of three eras that lie in ../shared/data/links, each file
repeated until there are enough lines, every copy with ids and URLs of its own; and one that is made
up: lines of some 2.9 kB with the hundred fields of today's, 35 % of them self posts. The well-liked
ones are no dump but a table of 18 fields, nearly all kept. No full dump of 2012 lies there, so one
is put together of them: the fields of 2012-09 as its schema counts them, as many self posts and
adult ones, and scores that are drawn, 62 % of them 0 to 2. They are packed with a short window, or
copies would compress as no dump does. Times are of the process's CPU, the best of several runs in
turn. Peak memory is that of a process of its own, for 30,000 lines of the 2013 sample, of which
nearly all are kept, and for twenty times as many.
"""

import argparse
import io
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import zstandard

from webtext.pipeline.core.compressed import blocks
from webtext.pipeline.core.shards import Directory
from webtext.pipeline.links.links import harvest
from webtext.pipeline.links.settings import Harvest

FLAGS = """archived can_gild can_mod_post clicked contest_mode edited hidden hide_score
is_created_from_ads_ui is_crosspostable is_meta is_original_content is_reddit_media_domain
is_robot_indexable is_video locked media_only no_follow pinned quarantine saved send_replies
spoiler stickied author_is_blocked author_patreon_flair author_premium allow_live_comments"""
NOTHINGS = """approved_at_utc approved_by author_flair_background_color author_flair_css_class
author_flair_template_id author_flair_text author_flair_text_color banned_at_utc banned_by category
content_categories discussion_type distinguished likes link_flair_background_color mod_note
link_flair_css_class link_flair_text mod_reason_by mod_reason_title mod_reports num_reports
removal_reason removed_by removed_by_category report_reasons secure_media suggested_sort top_awarded
thumbnail_height thumbnail_width treatment_tags user_reports view_count media wls pwls"""
SITES = [
    f"{name}.{ending}"
    for name in ("news", "blog", "www.paper", "lab")
    for ending in ("com", "org", "co.uk", "de", "net", "io", "example.com", "example.org")
]


def line(number: int, rng: random.Random) -> bytes:
    """Make up a submission."""
    own = rng.random() < 0.35
    page = f"https://{rng.choice(SITES)}/{number % 28 + 1:02}/{number:x}/some-words-of-a-title"
    url = page + (f"?id={number}&utm_source=reddit" if rng.random() < 0.2 else "")
    words = " ".join(rng.choice(("link", "page", "Überschrift", "text", "of")) for _ in range(9))
    fields: dict[str, object] = dict.fromkeys(FLAGS.split(), False)
    fields |= dict.fromkeys(NOTHINGS.split())
    fields |= {"id": f"{number:x}", "name": f"t3_{number:x}", "subreddit": f"sub{number % 999}"}
    fields |= {"url": url, "is_self": own, "over_18": rng.random() < 0.05, "title": words}
    fields |= {"score": int(rng.paretovariate(0.7)), "created_utc": 1_600_000_000 + number}
    fields |= {"author": f"user{number % 5003}", "selftext": f"{words}\n\n" * (20 if own else 0)}
    fields |= {"permalink": f"/r/sub{number % 999}/comments/{number:x}/some_words_of_a_title/"}
    fields |= {
        "preview": {
            "enabled": False,
            "images": [
                {
                    "id": f"{number:x}",
                    "source": {"url": f"{page}.jpg?s={n}", "width": 640, "height": n},
                }
                for n in range(0 if own else 6)
            ],
        }
    }
    if not own:
        fields["url_overridden_by_dest"] = url
    names = sorted(fields)
    return orjson.dumps({name: fields[name] for name in names})


LINKS = Path(__file__).parents[3] / "shared" / "data" / "links"
ERAS = {
    "2005-07, the whole month": LINKS / "RS_2005-07.zst",
    "2006 to 2013, well-liked ones, a table of 18 fields": LINKS / "RS_top2013_sample.jsonl.zst",
    "answers of the API": LINKS / "reddit_api_submissions_praw.jsonl.zst",
}
RECORDS = 2_568_109  # of the dump that the schema counts
SCHEMA = LINKS / "arctic_shift_RS_schema" / "RS_2012-09.json"
FLAT = ERAS["2006 to 2013, well-liked ones, a table of 18 fields"]


def made_up(lines: int) -> Iterator[bytes]:
    """Yield made-up submissions."""
    rng = random.Random(1)
    return (line(number, rng) for number in range(lines))


def repeated(path: Path, lines: int) -> Iterator[bytes]:
    """Yield real lines, over and over; those of a copy are of other submissions and pages."""
    originals = b"".join(blocks(path)).splitlines()
    for number in range(lines):
        copy, at = divmod(number, len(originals))
        yield another(originals[at], b"%d" % copy) if copy else originals[at]


def another(line: bytes, copy: bytes) -> bytes:
    """Give a line an id and a URL of its own."""
    line = _id.sub(rb"\g<0>x" + copy, line, count=1)
    return _url.sub(rb"\g<0>" + copy, line, count=1)


_id = re.compile(rb'"id": ?"\w+')
_url = re.compile(rb'"url": ?"https?:(?:[^"#\\]|\\/)*')


def mixed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Give the lines of the well-liked the fields and the mix of a full dump.

    Their own 18 fields are all that a table of them kept. The schema says of each of a dump's
    fields how often it is there, of which kind, and how long in the mean; words are the titles'.

    Source: ../shared/data/links/arctic_shift_RS_schema/RS_2012-09.json, 2,568,109 submissions of
    which 796,718 are self posts and 142,662 adult, the best of 10,808 votes. It states no share of
    scores: that is ours.
    """
    rng = random.Random(1)
    schema = orjson.loads(SCHEMA.read_bytes())[0]["schema"]
    del schema["promoted"]  # 1,585 lines have it
    words = ["word"]
    for line in lines:
        post = orjson.loads(line)
        words = [*words[-5000:], *post["title"].split()]
        if rng.random() < 0.27:  # 5 % are self posts as it is: makes 31 %
            post |= {"is_self": True, "url": f"http://www.reddit.com{post['permalink']}"}
        post["over_18"] = rng.random() < 0.056
        post["score"] = min(int(rng.paretovariate(0.7)) - 1, 10_808)
        text = f'&lt;p&gt;{sentence(words, 740, rng)}&lt;/p&gt;\n\n&lt;a href="{post["url"]}"&gt;'
        post["selftext"] = sentence(words, 162 * RECORDS // 796_718, rng) * post["is_self"]
        del post["edited"], post["link_flair_text"], post["distinguished"]
        post["selftext_html"] = text if post["is_self"] else None
        post |= {
            name: like(kinds, words, rng) for name, kinds in schema.items() if name not in post
        }
        yield orjson.dumps({name: post[name] for name in schema})


def like(kinds: list[dict[str, Any]], words: list[str], rng: random.Random) -> Any:
    """Make up a value, of one of the kinds that a schema names."""
    shares = [1.0 if kind["usage"] == "always" else kind["usage"] + 1e-6 for kind in kinds]
    [kind] = rng.choices(kinds, shares)
    told = kind["schema"]
    match kind["type"]:
        case "null":
            return None
        case "bool":
            return rng.random() * (told["true"] + told["false"]) < told["true"]
        case "int":
            return int(told["avr_value"])
        case "string":
            return sentence(words, int(told["avr_length"]), rng)
        case "array":
            return []
    counted = [
        sum(inner[0]["schema"].values()) for inner in told.values() if inner[0]["type"] == "bool"
    ]
    if counted and rng.random() * RECORDS >= counted[0]:
        return {}
    return {name: like(inner, words, rng) for name, inner in told.items()}


def sentence(words: list[str], length: int, rng: random.Random) -> str:
    """Return so many characters of words."""
    return " ".join(rng.choices(words, k=length // 4 + 1))[:length]


def write(path: Path, lines: Iterable[bytes]) -> None:
    """Write a dump of one frame."""
    options = zstandard.ZstdCompressionParameters.from_level(3, window_log=19)
    compressor = zstandard.ZstdCompressor(compression_params=options)
    with path.open("wb") as file, compressor.stream_writer(file) as writer:
        for one in lines:
            writer.write(one + b"\n")


def parsed(path: Path) -> int:
    """Decompress and parse; return the number of lines."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    with path.open("rb") as file:
        reader = io.BufferedReader(decompressor.stream_reader(file), 1 << 20)
        return sum(1 for line in reader if orjson.loads(line) is not None)


def harvested(path: Path) -> int:
    """Harvest; return the number of lines."""
    with tempfile.TemporaryDirectory() as folder:
        [passage] = harvest(Harvest(), [path], Directory(Path(folder) / "links"), workers=0)
    return passage.read


def seconds(work: Callable[[Path], int], path: Path) -> float:
    started = time.process_time()
    work(path)
    return time.process_time() - started


def peak(path: Path) -> int:
    """Return the peak memory of a harvest in MB, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.harvest", str(path), "--alone"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(name: str, path: Path) -> None:
    """Print how fast a dump is harvested, against parsing it."""
    runs = [(seconds(parsed, path), seconds(harvested, path)) for _ in range(3)]
    lines = parsed(path)
    base, ours = min(run[0] for run in runs), min(run[1] for run in runs)
    print(
        f"{name}: {lines} lines, parsed in {base / lines * 1e6:.2f} us a line, harvested in "
        f"{ours / lines * 1e6:.2f}: {base / ours:.2f} of the speed (wanted: 0.5)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dumps", nargs="*", type=Path)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.alone:
        harvested(chosen.dumps[0])
        # getrusage would count what the parent held when it started this process
        status = Path("/proc/self/status").read_text()
        print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1000)
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for dump in chosen.dumps:
        compare(dump.name, dump)
    if chosen.dumps:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dump.zst"
        for name, source in ERAS.items():
            if source.exists():
                write(path, repeated(source, chosen.lines))
                compare(name, path)
        if FLAT.exists():
            write(path, mixed(repeated(FLAT, chosen.lines)))
            compare("the same with fields and mix of the full dump of 2012-09, scores drawn", path)
        write(path, made_up(chosen.lines))
        compare("made up after today's", path)
        peaks = []
        for lines in (30_000, 600_000):
            write(path, repeated(FLAT, lines) if FLAT.exists() else made_up(lines))
            peaks.append(peak(path))
        print(f"peak memory {peaks[0]} MB, of twenty times as many lines {peaks[1]} MB")


if __name__ == "__main__":
    main()
