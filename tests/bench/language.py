"""The engines of language identification: how often each is right, and how fast.

    python -m tests.bench.language [--only webtext langdetect]

Only texts in the 55 languages that langdetect knows are asked about, which favours it: others know
more and so have more ways to err. `udhr` is the Universal Declaration of Human Rights in each of
80 translations, whole, and in up to 20 pieces of 200 characters each; `cld2` the strings by
which that engine is tested, most of 100 to 300 characters. Chinese is one language, since not all
tell its scripts apart. Speed is that of web texts, each a third of the 1,385 labelled ones, whole
and their first 200 characters, per CPU-second; loading is left out.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import zstandard

from tests.bench import peers
from tests.bench.language_engines import ENGINES

DATA = Path(__file__).parents[3] / "shared" / "data"
SHORT = 200  # characters
PIECES = 20  # of a declaration at most
WANTED = 30.0  # times langdetect's speed, at its accuracy
SAME = {"iw": "he", "nb": "no", "nn": "no", "fil": "tl"}  # names of one language


def plain(language: str | None) -> str:
    """Return the name that is compared, without script and country."""
    name = (language or "none").lower().partition("-")[0]
    return SAME.get(name, name)


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a file of the real data."""
    with zstandard.open(DATA / f"{name}.jsonl.zst") as file:
        return [json.loads(line) for line in file.read().splitlines()]


def labelled() -> dict[str, list[tuple[str, str]]]:
    """Return texts with their languages, by the name of the set."""
    known = [row for row in rows("langid/udhr") if row["langdetect_label"]]
    whole = [(row["text"], plain(row["langdetect_label"])) for row in known]
    pieces = []
    for text, language in whole:
        starts = range(0, len(text) - SHORT + 1, SHORT)
        chosen = {starts[n * len(starts) // PIECES] for n in range(PIECES)}
        pieces += [(text[at : at + SHORT], language) for at in sorted(chosen)]
    languages = {language for _, language in whole}
    strings = [
        (row["text"], plain(row["lang"]))
        for row in rows("langid/cld2_teststr")
        if plain(row["lang"]) in languages and not row["key"].endswith("_bad_UTF8")
    ]
    return {"udhr": whole, "udhr 200": pieces, "cld2": strings}


def asked(engine: str, job: Path) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Return what an engine answers, and documents per CPU-second, by the name of the set."""
    python = sys.executable if engine == "webtext" else str(peers.python("language"))
    command = [python, "-m", "tests.bench.language_engines", engine, str(job)]
    done = subprocess.run(command, cwd=peers.ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    return found["answers"], found["speeds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ENGINES, default=list(ENGINES))
    chosen = parser.parse_args()
    if not DATA.is_dir():
        sys.exit(f"needs the real data in {DATA}, which is not part of the project")
    sets = labelled()
    web = [row["text"] for row in rows("dedup/miniweb_texts")[::3]]
    texts = {name: [text for text, _ in found] for name, found in sets.items()}
    timed = {"web": web, "web 200": [text[:SHORT] for text in web]}
    print("| engine | " + " | ".join(f"{name} ({len(found)})" for name, found in sets.items())
          + " | web texts/s | of 200 characters/s | times langdetect |")  # fmt: skip
    print("|---" * (len(sets) + 4) + "|", flush=True)
    reference: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder, "job.json")
        job.write_text(json.dumps({"texts": texts | timed, "timed": list(timed)}))
        for engine in sorted(chosen.only, key=lambda name: name != "langdetect"):
            answers, speeds = asked(engine, job)
            reference = reference or (speeds if engine == "langdetect" else {})
            right = [
                sum(plain(got) == want for got, (_, want) in zip(answers[name], found, strict=True))
                / len(found)
                for name, found in sets.items()
            ]
            times = [f"{speeds[name] / reference[name]:.1f}" for name in timed if reference]
            print(f"| {engine} | " + " | ".join(f"{share:.1%}" for share in right)
                  + " | " + " | ".join(f"{speed:,.0f}" for speed in speeds.values())
                  + f" | {', '.join(times)} |", flush=True)  # fmt: skip
    print(f"wanted of webtext: langdetect's accuracy at {WANTED:.0f} times its speed")


if __name__ == "__main__":
    main()
