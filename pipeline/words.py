"""English words as the published filters count them, split many times faster.

FineWeb's filters and others count the tokens of spaCy's English tokenizer: punctuation stands
alone, "don't" is two tokens, "U.S." is one. The rules below follow its documented order: peel
marks off both ends until nothing or a known form is left, then cut inside. What lies between two
spaces is always split alike; `pipeline.vocabulary` splits each such chunk once.
"""

import re
import unicodedata
from functools import cache
from itertools import chain

LONGEST = 1000  # characters of a chunk that are looked into; more is no word of any language

QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
MONEY = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
UNITS = (
    "km² km³ km m² m³ m dm² dm³ dm cm² cm³ cm mm² mm³ mm ha µm nm yd in ft kg g mg µg t lb oz m/s "
    "km/h kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K %"
)

PLANES = 0x20000  # code points looked at for letters and signs: the two planes that have them
LONGEST_FORM = 5  # tokens that one known form may have been cut into

LETTER = r"[^\W\d_]"
STATES_AND_TITLES = (
    "Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. "
    "Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. "
    "N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. "
    "Wis. a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. "
    "Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. "
    "C++"
)
APOSTROPHES = (
    "' '' 'd 's 'S ‘s ‘S 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout 'em 'll 'nuff "
    "ma'am Ma'am o'clock O'clock and/or w/o <space> lovin' Lovin' havin' Havin' doin' Doin' "
    "goin' Goin' nothin' Nothin' nuthin' Nuthin' ol' Ol' somethin' Somethin'"
)
FACES = (
    ":) :-) :)) :-)) :))) :-))) (: (-: ((: ((-: (((: (((-: =) (= :] :-] [: [-: =] [= :o) (o: "
    ":} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( "
    ":'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 "
    ":-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> "
    "<.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 "
    "0.o @_@ <3 <33 <333 </3"
)
WITH_HAVE = "ca could do does did had may might must need ought sha should wo would"
WITH_NOT = f"{WITH_HAVE} ai are is was were have has dare"
CUT = (
    "can not|Can not|gon na|Gon na|got ta|Got ta|let 's|Let 's|c'm on|C'm on|y' all|y all|not 've|"
    "Not 've|I 'm a|i 'm a"
)
IN_THEIR_OWN_RIGHT = "Ill ill Its its Hell hell Shell shell Shed shed were Were Well well"

# Ends that no mark, clitic or unit can be taken off: five letters (no unit has more than four),
# letters and nothing else, letters after a hyphen, or a digit.
PLAIN_END = re.compile(r"(?:[A-Za-z]{5}|(?:^|-)[A-Za-z]+|\d)$")


def known_forms() -> dict[str, tuple[str, ...]]:
    """Return the chunks that are split, or left whole, by heart."""
    forms: dict[str, tuple[str, ...]] = {
        word: (word,) for word in f"{STATES_AND_TITLES} {APOSTROPHES} {FACES}".split()
    }
    forms |= {f"{letter}.": (f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyzäöü"}
    endings = {
        "i": "m ll ll've d d've ve",
        "you": "ll ll've d d've ve re",
        "he": "ll ll've d d've s",
        "she": "ll ll've d d've s",
        "it": "ll ll've d d've s",
        "we": "ll ll've d d've ve re",
        "they": "ll ll've d d've ve re",
        "that": "s ll ll've d d've",
        "this": "s ll ll've d d've",
        "these": "ll ll've re ve d d've",
        "those": "ll ll've re ve d d've",
        **dict.fromkeys(
            ("who", "what", "when", "where", "why", "how", "there"), "s ll ll've re ve d d've"
        ),
        **dict.fromkeys(("could", "might", "must", "should", "would"), "ve"),
    }
    for stem, tails in endings.items():
        for start in (stem, stem.title()):
            for tail in tails.split():
                first, _, second = tail.partition("'")
                forms[f"{start}'{tail}"] = (start, f"'{first}", *([f"'{second}"] if second else []))
                bare = tail.replace("'", "")
                forms[start + bare] = (start, first, *([second] if second else []))
    for stem in WITH_NOT.split():
        for start in (stem, stem.title()):
            forms[start + "n't"] = (start, "n't")
            forms[start + "nt"] = (start, "nt")
            if stem in WITH_HAVE.split():
                forms[start + "n't've"] = (start, "n't", "'ve")
                forms[start + "ntve"] = (start, "nt", "ve")
    for hour in range(1, 13):
        forms |= {f"{hour}{half}": (str(hour), half) for half in ("a.m.", "am", "p.m.", "pm")}
    for cut in CUT.split("|"):
        forms[cut.replace(" ", "")] = tuple(cut.split())
    for word in IN_THEIR_OWN_RIGHT.split():
        forms.pop(word, None)
    for form, tokens in list(forms.items()):
        if "'" in form:
            forms[form.replace("'", "’")] = tuple(token.replace("'", "’") for token in tokens)
    return forms


def character_class(wanted: set[str]) -> str:
    """Return the inside of a regex class for the characters of these Unicode categories."""
    ranges: list[list[int]] = []
    for code in range(PLANES):
        if unicodedata.category(chr(code)) in wanted:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges)


class Splitter:
    """Splits chunks; made once, as its tables take half a second."""

    def __init__(self) -> None:
        self.forms = known_forms()
        quotes, marks, money = (re.escape(chars) for chars in (QUOTES, MARKS, MONEY))
        signs = character_class({"So"})
        lower, upper = character_class({"Ll", "Lo"}), character_class({"Lu", "Lt", "Lo"})
        units = "|".join(re.escape(unit) for unit in UNITS.split())
        self.front = re.compile(
            rf"……|\.\.+|[§%=—–{marks}{quotes}{money}{signs}]|\+(?!\d)|(?:US|C|A)\$"
        )
        self.back = re.compile(
            rf"(?:……|\.\.+|['’][sS]|[—–{marks}{quotes}{signs}]|(?<=\d)(?:\+|(?:US|C|A)\$|[{money}]"
            rf"|{units})|(?<=[\d{lower}%²+\-{quotes}{marks}])\.|(?<=[{upper}][{upper}])\.)$"
        )
        self.inside = re.compile(
            rf"\.\.+|[…{signs}]|(?<=\d)[+\-*^](?=[\d-])|(?<=[{lower}{quotes}])\.(?=[{upper}{quotes}])"
            rf"|(?<={LETTER}),(?={LETTER})|(?<=[^\W_])(?:---|--|——|[-–—~])(?={LETTER})"
            rf"|(?<=[^\W_])[:<>=/](?={LETTER})"
        )
        self.address = re.compile(
            r"(?:[\w+\-.]{2,}://)?(?:\S+(?::\S*)?@)?(?:(?!10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.)\d{1,3}(?:\.\d{1,3}){3}"
            r"|(?:[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff_-]{0,62}\.)+"
            rf"[{lower}]{{2,63}})(?::\d{{2,5}})?(?:[/?#]\S*)?$"
        )

    def split(self, chunk: str) -> tuple[str, ...]:
        """Return the tokens of a chunk that holds no space."""
        head, rest, tail = self.peel(chunk)
        return self.joined([*head, *self.middle(rest), *reversed(tail)])

    def joined(self, tokens: list[str]) -> tuple[str, ...]:
        """Put together again what makes a known form, such as a face before a bracket."""
        if len(tokens) < 2:
            return tuple(tokens)
        found: list[str] = []
        start = 0
        while start < len(tokens):
            for end in range(min(len(tokens), start + LONGEST_FORM), start + 1, -1):
                if form := self.forms.get("".join(tokens[start:end])):
                    found += form
                    start = end
                    break
            else:
                found.append(tokens[start])
                start += 1
        return tuple(found)

    def peel(self, rest: str) -> tuple[list[str], str, list[str]]:
        """Take marks off both ends; the tail comes outermost first."""
        head: list[str] = []
        tail: list[str] = []
        while rest and rest not in self.forms:
            before = rest
            if not (rest[0].isalnum() and "$" not in rest) and (found := self.front.match(rest)):
                head.append(found.group())
                rest = rest[found.end() :]
                if rest in self.forms:
                    break
            if not PLAIN_END.search(rest) and (found := self.back.search(rest)):
                tail.append(found.group())
                rest = rest[: found.start()]
            if rest == before:
                break
        return head, rest, tail

    def middle(self, rest: str) -> tuple[str, ...]:
        """Split what is left when no mark is at either end."""
        if not rest:
            return ()
        if rest in self.forms:
            return self.forms[rest]
        if rest.isalnum() or ("." in rest and self.address.match(rest)):
            return (rest,)
        pieces = []
        start = 0
        for found in self.inside.finditer(rest):
            if found.start() == start:
                continue
            pieces += [rest[start : found.start()], found.group()]
            start = found.end()
        return (*pieces, rest[start:]) if start < len(rest) else tuple(pieces)


@cache
def splitter() -> Splitter:
    """Return the one splitter."""
    return Splitter()


def split_chunk(chunk: str) -> tuple[str, ...]:
    """Return the tokens of what stands between two spaces."""
    if len(chunk) > LONGEST or (chunk.isalpha() and chunk not in splitter().forms):
        return (chunk,)
    return splitter().split(chunk)


def split(text: str) -> list[str]:
    """Return the tokens of a text, punctuation among them.

    >>> split("Don't panic (yet).")
    ['Do', "n't", 'panic', '(', 'yet', ')', '.']
    """
    return list(chain.from_iterable(map(split_chunk, text.split())))
