"""The stage that applies the rules, and the measure of each rule."""

import inspect
import math
import traceback
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from webtext.pipeline.core.directories.checked import sha256
from webtext.pipeline.core.errors import UserError
from webtext.pipeline.core.records import DOCUMENT
from webtext.pipeline.core.stage import judged
from webtext.pipeline.filters.c4 import C4
from webtext.pipeline.filters.dolma import DolmaRepetition
from webtext.pipeline.filters.fineweb import FineWeb
from webtext.pipeline.filters.gopher import GopherQuality, GopherRepetition
from webtext.pipeline.filters.lists import Urls, Words
from webtext.pipeline.filters.quality import Quality
from webtext.pipeline.filters.refinedweb import RefinedWeb
from webtext.pipeline.filters.webtext import Prose, Scripts, WebText
from webtext.pipeline.words.document import Document
from webtext.pipeline.words.tongues import ENGLISH

# Groups whose bounds nobody has chosen anew for other languages, as FineWeb-2 did for its own.
ENGLISH_ONLY = {
    *("gopher_repetition", "dolma_repetition", "c4", "fineweb", "refinedweb", "webtext")
}


def objection_of(measure: float, at_least: float | None, at_most: float | None) -> str | None:
    """Return "low" or "high" where a measure is out of its bounds; NaN is outside all bounds.

    >>> objection_of(0.2, None, 0.1), objection_of(0.1, None, 0.1), objection_of(49, 50, None)
    ('high', None, 'low')
    """
    if at_least is not None and not measure >= at_least:
        return "low"
    if at_most is not None and not measure <= at_most:
        return "high"
    return None


class Asked(NamedTuple):
    """What one rule measured on one document."""

    rule: str  # "group.rule"
    measure: float
    at_least: float | None
    at_most: float | None
    enabled: bool  # whether the rule's group has a say

    @property
    def objection(self) -> str | None:
        """Return "low" or "high" where the measure is out of bounds, also of a disabled rule."""
        return objection_of(self.measure, self.at_least, self.at_most)

    @property
    def threshold(self) -> float | None:
        """Return the bound that decided, or would decide next."""
        if self.at_least is None or self.at_most is None:
            return self.at_most if self.at_least is None else self.at_least
        middle = (self.at_least + self.at_most) / 2
        return self.at_least if self.measure < middle else self.at_most

    @property
    def told(self) -> dict[str, Any]:
        """Return the measure beside its bounds, as `judge` and `trace` print it."""
        return {
            "measure": self.measure,
            "threshold": self.threshold,
            "at_least": self.at_least,
            "at_most": self.at_most,
            "kept": self.objection is None,
            "enabled": self.enabled,
        }


class Line(NamedTuple):
    """One rule in the order in which they are asked."""

    name: str  # "group.rule"
    rule: Any
    at_least: float | None
    at_most: float | None
    always: bool  # whether it is measured on every document


@dataclass(frozen=True)
class Rules:
    """Drop documents that a rule rejects: groups and rules are applied in the order given here.

    The reason is `rules.<group>.<rule>.low` or `.high`, the value what the rule measured. A group
    may edit the text that its own rules and all later ones see, and that is kept.
    """

    urls: Urls = field(default_factory=Urls)
    scripts: Scripts = field(default_factory=Scripts)
    gopher_repetition: GopherRepetition = field(default_factory=GopherRepetition)
    dolma_repetition: DolmaRepetition = field(default_factory=DolmaRepetition)
    gopher_quality: GopherQuality = field(default_factory=GopherQuality)
    prose: Prose = field(default_factory=Prose)
    c4: C4 = field(default_factory=C4)
    fineweb: FineWeb = field(default_factory=FineWeb)
    refinedweb: RefinedWeb = field(default_factory=RefinedWeb)
    webtext: WebText = field(default_factory=WebText)
    words: Words = field(default_factory=Words)
    quality: Quality = field(default_factory=Quality)

    name: ClassVar[str] = "rules"
    version: ClassVar[int] = 3
    reads: ClassVar[pa.Schema] = DOCUMENT
    writes: ClassVar[pa.Schema] = DOCUMENT

    def __post_init__(self) -> None:
        """Refuse bounds that no document can meet.

        Raises:
            UserError: every measure is 0 or more, so one drops all.
        """
        for setting, side, bound in self.bounds():
            if (side == "at_most" and bound < 0) or (side == "at_least" and bound == math.inf):
                raise UserError(
                    f"{setting}.{side} = {bound:g}: drops every document, as what it bounds is "
                    "always 0 or more and finite; use another number, or leave it out"
                )

    def bounds(self) -> Iterator[tuple[str, str, float]]:
        """Yield the bounds of the rules that have a say: setting, side and number.

        Not those of a user's own rules, whose measures may be negative.
        """
        for name, group in self.groups():
            if own(group):
                continue
            for rule_name, rule in rules_of(group) if group.enabled else ():
                for side in ("at_least", "at_most"):
                    if (bound := getattr(rule, side, None)) is not None:
                        yield f"rules.{name}.{rule_name}", side, bound

    def order_of_bounds(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Yield the rules that have a say, "group.rule", with their bounds, in order."""
        for group, lines in self._order:
            for line in lines if group.enabled else ():
                yield line.name, line.at_least, line.at_most

    def idle(self) -> list[str]:
        """Return the settings of bounds that cannot drop anything, as a recipe writes them."""
        return [
            f"{setting}.{side} = {bound:g}"
            for setting, side, bound in self.bounds()
            if (side == "at_least" and bound <= 0)
            or (
                side == "at_most"
                and (bound == math.inf or (bound >= 1 and "_repetition." in setting))
            )
        ]

    def for_english(self) -> list[str]:
        """Return the groups that have a say and whose bounds were chosen for English alone."""
        return [f"rules.{name}" for name, group in self.groups() if name in ENGLISH_ONLY
                and group.enabled]  # fmt: skip

    def __call__(self, batch: pa.RecordBatch, /) -> pa.RecordBatch:
        return self.weighed(batch, measuring=False)[0]

    def weighed(
        self, batch: pa.RecordBatch, measuring: bool = True
    ) -> tuple[pa.RecordBatch, list[list[float]]]:
        """Return the batch with its objections, and a list of `measured` for each row."""
        texts: list[str | None] = []
        reasons: list[str | None] = []
        values: list[float | None] = []
        found: list[list[float]] = []
        urls = pc.coalesce(batch["final_url"], batch["url"], "")
        columns = (batch["text"].to_pylist(), urls.to_pylist(), batch["language"].to_pylist())
        for text, url, language in zip(*columns, strict=True):
            objection, doc, measures = self.weigh(text or "", url, measuring, language)
            reasons.append(f"rules.{objection.rule}.{objection.objection}" if objection else None)
            values.append(objection.measure if objection else None)
            texts.append(text if objection else doc.text)
            found.append(measures)
        column = batch.schema.get_field_index("text")
        field = DOCUMENT.field("text")
        edited_batch = batch.set_column(column, field, pa.array(texts, field.type))
        return judged(edited_batch, reasons, values), found

    def judge(
        self, text: str, url: str = "", language: str | None = ENGLISH
    ) -> tuple[Asked | None, Document]:
        """Return the first objection, or None, and the document as edited up to there."""
        return self.weigh(text, url, measuring=False, language=language)[:2]

    def weigh(
        self,
        text: str,
        url: str = "",
        measuring: bool = True,
        language: str | None = ENGLISH,
    ) -> tuple[Asked | None, Document, list[float]]:
        """Return the first objection, the document as edited up to there, and all measures.

        The measures are those of `measured`; without `measuring`, those up to the objection.
        """
        seen = doc = Document(text, url=url, language=language or "")
        first: Asked | None = None
        found: list[float] = []
        for group, lines in self._order:
            if not (group.enabled or measuring):
                continue
            if group.enabled and hasattr(group, "edit"):
                seen = group.edit(seen)
            doc = doc if first else seen
            looked_at = through(group, seen)
            for line in lines:
                if not (line.always if measuring else group.enabled):
                    continue
                measure = measure_of(group, line, looked_at)
                found.append(measure)
                if first is None and group.enabled:
                    asked = Asked(line.name, measure, line.at_least, line.at_most, enabled=True)
                    first = asked if asked.objection else None
                    if first and not measuring:
                        return first, doc, found
        return first, doc, found

    @property
    def measured(self) -> list[str]:
        """The rules that are measured on every document, as "group.rule", in their order.

        Those of the groups that are on; of those that are off, the ones that are cheap: a rule or a
        group that is not says `costly`, and a group that edits would have to edit first.
        """
        return [line.name for _, lines in self._order for line in lines if line.always]

    @cached_property
    def _order(self) -> list[tuple[Any, list["Line"]]]:
        """All groups and their rules, in order."""
        return [(group, list(ordered(name, group))) for name, group in self.groups()]

    def measures(self, text: str, url: str = "", language: str | None = ENGLISH) -> Iterator[Asked]:
        """Yield what every rule measures, those of disabled groups among them."""
        doc = Document(text, url=url, language=language or "")
        for name, group in self.groups():
            seen = edited(group, doc)
            yield from ask(name, group, seen)
            if group.enabled:
                doc = seen

    def fingerprints(self) -> dict[str, str]:
        """Return the sha256 of each file that a rule reads: its content matters, not its name.

        A rule that reads a file names it in a field that is a machine fact, and has `load`.

        Raises:
            UserError: one is not there, or not what the rule wants.
        """
        found: dict[str, str] = {}
        for name, group in self.groups():
            for rule_name, rule in rules_of(group) if group.enabled else ():
                for item in fields(rule):
                    if item.metadata.get("machine"):
                        setting = f"rules.{name}.{rule_name}"
                        file = Path(getattr(rule, item.name))
                        if not file.is_file():
                            raise UserError(
                                f"{setting}.{item.name}: {file}: no such file; a path begins where "
                                "the command is run"
                            )
                        by = getattr(rule.load(), "by", "")  # the library of others' models
                        found[setting] = f"{sha256(file)} {by}".strip()
        return found

    def groups(self) -> Iterator[tuple[str, Any]]:
        """Yield the groups of rules with their names, in the order in which they are asked."""
        for group in fields(self):
            yield group.name, getattr(self, group.name)


def ordered(name: str, group: Any) -> Iterator[Line]:
    """Yield the rules of a group, in the order in which they are asked."""
    cheap = not (hasattr(group, "edit") or getattr(group, "costly", False))
    for rule_name, rule in rules_of(group):
        low, high = getattr(rule, "at_least", None), getattr(rule, "at_most", None)
        always = group.enabled or (cheap and not getattr(rule, "costly", False))
        yield Line(f"{name}.{rule_name}", rule, low, high, always)


def ask(name: str, group: Any, doc: Document) -> Iterator[Asked]:
    """Yield what each rule of a group measures, one after the other."""
    doc = through(group, doc)
    for line in ordered(name, group):
        measure = measure_of(group, line, doc)
        yield Asked(line.name, measure, line.at_least, line.at_most, group.enabled)


def through(group: Any, doc: Document) -> Document:
    """Return the part of a document that a group with a `lens` looks at; the document stays."""
    if not hasattr(group, "lens"):
        return doc
    part: Document = group.lens(doc)
    return part


def measure_of(group: Any, line: Line, doc: Document) -> float:
    """Return what a rule measures.

    Raises:
        UserError: a rule of the user's own raised an error, or returned no number.
    """
    try:
        return float(line.rule(doc))
    except Exception as error:
        if not own(group):
            raise
        about = f"rule {line.name}, on {doc.url or repr(doc.text[:60])}"
        raise UserError(f"{fault(error, inspect.getfile(type(line.rule)))} ({about})") from error


def rules_of(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield the rules of a group with their names, in the order in which they are asked."""
    for item in fields(group):
        if callable(rule := getattr(group, item.name)):
            yield item.name, rule


def own(group: Any) -> bool:
    """Whether a group of rules is a user's own: it knows the sha256 of its file."""
    return hasattr(group, "source")


def fault(error: Exception, path: str) -> str:
    """Return what went wrong in a user's file, and in which line of it."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    where = f"{path}:{lines[-1]}" if lines else path
    return f"{where}: {type(error).__name__}: {error}"


def edited(group: Any, doc: Document) -> Document:
    """Return the document that a group's rules are asked about."""
    if not hasattr(group, "edit"):
        return doc
    changed: Document = group.edit(doc)
    return changed


def reasons() -> dict[str, str]:
    """Return every reason that a rule may give, with its meaning: the rule's own first line."""
    found = {}
    for group, kind in typing.get_type_hints(Rules).items():
        for name, hint in typing.get_type_hints(kind).items() if is_dataclass(kind) else ():
            rule = next(filter(is_dataclass, typing.get_args(hint) or (hint,)), None)
            bounds = {item.name for item in fields(rule)} if rule else set()
            about = (rule.__doc__ or "").partition("\n")[0].rstrip(".")
            about = about[:1].lower() + about[1:] if about[1:2].islower() else about
            for bound, side, word in (("at_least", "low", "less"), ("at_most", "high", "more")):
                if bound in bounds:
                    reason = f"rules.{group}.{name}.{side}"
                    found[reason] = f"{word} than allowed: {about}; value: the measure"
    return found
