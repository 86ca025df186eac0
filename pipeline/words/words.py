"""English words as the published filters count them, split many times faster.

FineWeb's filters and others count the tokens of spaCy's English tokenizer: punctuation stands
alone, "don't" is two tokens, "U.S." is one. The rules below follow its documented order: peel
marks off both ends until nothing or a special form is left, then cut inside. The lists are here,
the compiled code is in `splitting.py`, and the tests compare it with the same in plain Python.

Published filters spend most of their time there: they split the text again for each rule, and look
at it word by word in Python.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from webtext.pipeline.words import kernels, splitting
from webtext.pipeline.words.characters import classes

UNITS = (
    "km² km³ km m² m³ m dm² dm³ dm cm² cm³ cm mm² mm³ mm ha µm nm yd in ft kg g mg µg t lb oz m/s "
    "km/h kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % + US$ C$ A$"
)


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

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")  # Source: Gopher A.1.1


class Counts(NamedTuple):
    """How many words of each kind a text has."""

    tokens: int  # words and punctuation marks
    words: int  # tokens that are not only punctuation
    characters: int  # in words
    letter_tokens: int  # tokens with a letter
    letter_words: int  # words with a letter


class Rows(NamedTuple):
    """The tokens of a text in order, for n-grams."""

    hashes: npt.NDArray[np.uint64]  # of a token's characters
    powers: npt.NDArray[np.uint64]  # the base of the hash to the power of its length
    lengths: npt.NDArray[np.int32]  # its characters


class Words(NamedTuple):
    """All that is known of the words of a text."""

    counts: Counts
    sentences: int  # counted in each line by itself
    stop_words: int  # how many of the eight occur, in lower case
    rows: Rows


def read(text: str) -> Words:
    """Return all that is known of the words of a text.

    >>> read("It is. Is it not?").counts.tokens, read("It is. Is it not?").sentences
    (7, 2)
    """
    codes = code_points(text)
    ends = splitting.cut(codes, classes(), *known())
    counts, sentences, stops, *rows = kernels.look(codes, ends, classes(), stop_hashes())
    return Words(Counts(*counts.tolist()), sentences, int(stops).bit_count(), Rows(*rows))


def split(text: str) -> list[str]:
    """Return the tokens of a text, punctuation included.

    >>> split("Don't panic (yet).")
    ['Do', "n't", 'panic', '(', 'yet', ')', '.']
    """
    ends = splitting.cut(code_points(text), classes(), *known()).tolist()
    return [text[low:high].lstrip() for low, high in zip([0, *ends], ends, strict=False)]


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Return a text as numbers."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@cache
def stop_hashes() -> npt.NDArray[np.uint64]:
    """Return the hashes of the stop words."""
    return np.array([kernels.hashed(word) for word in STOP_WORDS], np.uint64)


@cache
def known() -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint64], npt.NDArray[np.uint32]]:
    """Return the filter, the table of special forms, and the units, as `splitting` needs them."""
    found = known_forms()
    assert max(map(len, found)) <= splitting.LONGEST_FORM
    sieve = np.zeros(splitting.FILTER, np.bool_)
    forms = np.zeros((1 << (2 * len(found)).bit_length(), 2), np.uint64)
    for form, tokens in found.items():
        sieve[splitting.likely.py_func(ord(form[0]), ord(form[-1]), len(form))] = True
        value = kernels.hashed(form)
        at = (value >> 32) & (len(forms) - 1)
        while forms[at, 0]:
            at = (at + 1) & (len(forms) - 1)
        ends = np.cumsum([len(token) for token in tokens]).tolist()
        forms[at] = value, sum(1 << (end - 1) for end in ends)
    units = [int.from_bytes(unit.encode("latin-1"), "big") for unit in UNITS.split()]
    return sieve, forms, np.array(units, np.uint32)


def known_forms() -> dict[str, tuple[str, ...]]:
    """Return the special forms, each with its tokens."""
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
