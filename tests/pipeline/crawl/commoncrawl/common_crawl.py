"""A small Common Crawl: WARC files, their index by cdxj-indexer, and a server of byte ranges."""

import gzip
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.loopback import Quiet, listening
from tests.pipeline.warcfile import http, members, record, write
from webtext.pipeline.core.records import LINK
from webtext.pipeline.core.shards import Directory, write_parquet
from webtext.pipeline.urls import urls

HTML = "text/html; charset=utf-8"


def text_of(word):
    return f"<!doctype html><title>{word}</title><p>{f'Some words of {word}. ' * 30}</p>".encode()


def written(path, records):
    """Write (url, time, status, content type, body, more headers) as a WARC file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = []
    for number, (url, day, status, content_type, body, more) in enumerate(records):
        block = http(body, f"{status} Any", {"Content-Type": content_type, **dict(more)})
        when = f"{day[:4]}-{day[4:6]}-{day[6:]}T00:00:00Z"
        stored.append(record(url, block, number=number, WARC_Date=when))
    return write(path, members(stored))


def index_lines(home, crawl):
    """Return the sorted lines of cdxj-indexer for the WARC files of a crawl."""
    files = sorted(map(str, (home / "crawl-data" / crawl).rglob("*.warc.gz")))
    code = "from cdxj_indexer.main import main; main()"  # by itself: it leaves files open
    command = [sys.executable, "-c", code, "--sort", "--dir-root", str(home), *files]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if line[:5] != "!meta"]


def indexed(home, crawl, lines=5, table_rows=7):
    """Write the CDX index, `lines` a block, and the columnar one, from the same lines."""
    found = index_lines(home, crawl)
    folder = home / "cc-index/collections" / crawl / "indexes"
    folder.mkdir(parents=True)
    halves = [found[: len(found) // 2], found[len(found) // 2 :]]
    with (folder / "cluster.idx").open("w") as cluster:
        blocks = 0
        for number, half in enumerate(halves):
            name, at = f"cdx-{number:05d}.gz", 0
            with (folder / name).open("wb") as file:
                for block in batched_(half, lines):
                    data = gzip.compress("".join(f"{line}\n" for line in block).encode(), mtime=0)
                    key = " ".join(block[0].split(" ")[:2])
                    blocks += 1
                    cluster.write(f"{key}\t{name}\t{at}\t{len(data)}\t{blocks}\n")
                    at += len(data)
                    file.write(data)
    rows = defaultdict(list)
    for line in found:
        key, stamp, said = line.split(" ", 2)
        told = json.loads(said)
        status = int(told["status"])
        rows["warc" if status == 200 else "crawldiagnostics"].append(
            {
                "url_surtkey": key,
                "url": told["url"],
                "fetch_time": datetime.strptime(f"{stamp}Z", "%Y%m%d%H%M%S%z").replace(tzinfo=None),
                "fetch_status": status,
                "content_digest": told.get("digest"),
                "content_mime_detected": told.get("mime"),
                "warc_filename": told["filename"],
                "warc_record_offset": int(told["offset"]),
                "warc_record_length": int(told["length"]),
            }
        )
    names = []
    for subset, told in rows.items():
        table = pa.Table.from_pylist(told)
        small = {"fetch_status": pa.int16(), "warc_record_length": pa.int32()}
        small |= {"fetch_time": pa.timestamp("ms"), "warc_record_offset": pa.int32()}
        for column, kind in small.items():
            place = table.column_names.index(column)
            table = table.set_column(place, column, table[column].cast(kind))
        name = f"cc-index/table/cc-main/warc/crawl={crawl}/subset={subset}/part-00000.gz.parquet"
        (home / name).parent.mkdir(parents=True)
        pq.write_table(table, home / name, row_group_size=table_rows, compression="gzip")
        names.append(name)
    listing = home / "crawl-data" / crawl / "cc-index-table.paths.gz"
    listing.write_bytes(gzip.compress("".join(f"{name}\n" for name in names).encode()))
    return found


def batched_(rows, count):
    return (list(rows[start : start + count]) for start in range(0, len(rows), count))


class Log(list):
    """The requests of a server: (file, start, end, status)."""

    wrong = 0  # so many answers say that they are another range
    retry_after = "0"  # s, as a refusal says
    refuse = 0  # so many more requests are answered with 429
    stop_after = None  # after so many requests all are answered with 418

    def __init__(self):
        super().__init__()
        self.times = []  # of each request, monotonic

    def append(self, one):
        self.times.append(time.monotonic())
        super().append(one)

    def ranges(self, pattern=""):
        return [one for one in self if re.search(pattern, one[0]) and one[3] == 206]


@contextmanager
def serving(home):
    """Serve a folder's files by byte ranges on loopback; give the port and the log."""
    log = Log()

    class Handler(Quiet):
        def do_GET(self):  # noqa: N802 -- as the library calls it
            path = Path(home) / self.path.lstrip("/")
            first, last = map(
                int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups()
            )
            if log.stop_after is not None and len(log) >= log.stop_after:
                return self.answer(418)
            if log.refuse:
                log.refuse -= 1
                return self.answer(429, headers={"Retry-After": log.retry_after})
            if not path.is_file():
                return self.answer(404)
            data = path.read_bytes()
            log.append((self.path, first, last, 206))
            part = data[first : last + 1]
            start = first + bool(log.wrong)
            log.wrong -= bool(log.wrong)
            where = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
            return self.answer(206, part, {"Content-Range": where})

        def answer(self, status, body=b"", headers=None):
            if status != 206:
                log.append((self.path, 0, 0, status))
            super().answer(status, body, headers)

    with listening(Handler) as port:
        yield port, log


def linked(path, found, shards=2):
    """Write a links directory of (url, day of submission or None)."""
    links = Directory(path)
    rows = defaultdict(list)
    for url, day in found:
        normal = urls.normalise(url)
        created = datetime.strptime(f"{day} +0000", "%Y%m%d %z") if day else None
        submissions = [{"score": 5, "created": created}] if day else []
        domain = urls.domain(normal)
        rows[urls.bucket(domain, shards)].append(
            {
                "id": urls.url_id(normal),
                "url": normal,
                "domain": domain,
                "score": 5 if day else None,
                "submissions": submissions,
            }
        )
    for number in range(shards):
        write_parquet(links.shard(number), [pa.RecordBatch.from_pylist(rows[number], LINK)], LINK)
    return links
