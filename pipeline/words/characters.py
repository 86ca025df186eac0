"""The classes of each code point, as bits, for splitting and counting words.

Numba keeps compiled code as long as the file of a kernel is the same: who changes a bit here saves
`splitting`, `addresses` and `kernels` as well.
"""

import string
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

SPACE = 1 << 0  # str.split splits there
LINE_END = 1 << 1  # str.splitlines too
ALPHA = 1 << 2  # str.isalpha
ALNUM = 1 << 3  # str.isalnum
DIGIT = 1 << 4  # str.isdecimal
LETTER = 1 << 5  # ALNUM but not DIGIT
FRONT = 1 << 6  # a token of its own before a word
BACK = 1 << 7  # a token of its own after a word
INSIDE = 1 << 8  # a token of its own inside a word
MONEY = 1 << 9
QUOTE = 1 << 10
LOWER = 1 << 11  # lower case, or of a script that has no cases
UPPER = 1 << 12  # upper case, or of a script that has no cases
BEFORE_DOT = 1 << 13  # a full stop after it at the end of a word is a token of its own
SCHEME = 1 << 14  # may be in the scheme of an address
HOST = 1 << 15  # may begin the name of a host
PUNCTUATION = 1 << 16  # its Unicode category begins with P
NO_WORD = 1 << 17  # a token of only these is not a word
ENDS = 1 << 18  # ends sentences

CASED = 0x20000  # letters and signs are in the code points below: the first two planes
SURROGATES = slice(0xD800, 0xE000)  # cannot be stored as UTF-8; counted as a "?"
LINE_ENDS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"

QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉⟦⟧"
MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"

# A token of nothing but these is not a word. The set is FineWeb's.
# Source: datatrove 0.10 utils/text.py, PUNCTUATION_SET; the control characters are among them.
NOT_IN_WORDS = frozenset(
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
) | frozenset(chr(code) for code in (*range(9), 11, 12, *range(13, 32), *range(127, 160)))

SENTENCE_TERMINAL = (  # code points, hexadecimal. Source: Unicode 15, property Sentence_Terminal
    "21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e "
    "1735-1736 17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e "
    "1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff a60e-a60f a6f3 a6f7 "
    "a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f "
    "ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 "
    "111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 "
    "11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 "
    "11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88"
)
TERMINAL = frozenset(
    chr(code)
    for low, _, high in (codes.partition("-") for codes in SENTENCE_TERMINAL.split())
    for code in range(int(low, 16), int(high or low, 16) + 1)
)

LISTED = (
    (LINE_ENDS, LINE_END),
    (MARKS, FRONT | BACK | BEFORE_DOT),
    (QUOTES, FRONT | BACK | BEFORE_DOT | QUOTE),
    (CURRENCIES, FRONT | MONEY),
    ("§%=—–", FRONT),
    ("—–", BACK),
    ("…", INSIDE),
    ("%²+-", BEFORE_DOT),
    ("_+-.", SCHEME),
    (string.ascii_letters + string.digits, HOST),
    (NOT_IN_WORDS, NO_WORD),
    (TERMINAL, ENDS),
)


@cache
def classes() -> npt.NDArray[np.uint32]:
    """Return the bits of every code point."""
    codes = np.arange(0x110000, dtype=np.uint32)
    chars = codes.view("U1")
    kinds = np.array([unicodedata.category(chr(code)) for code in range(CASED)])
    digit, alnum = np.char.isdecimal(chars), np.char.isalnum(chars)
    found = np.zeros(len(codes), np.uint32)
    found[np.char.isspace(chars)] |= SPACE
    found[np.char.isalpha(chars)] |= ALPHA
    found[alnum] |= ALNUM | SCHEME
    found[digit] |= DIGIT | BEFORE_DOT
    found[alnum & ~digit] |= LETTER
    first = found[:CASED]  # the rest has neither
    first[kinds == "So"] |= FRONT | BACK | INSIDE
    first[np.isin(kinds, ("Ll", "Lo"))] |= LOWER | BEFORE_DOT
    first[np.isin(kinds, ("Lu", "Lt", "Lo"))] |= UPPER
    first[np.char.startswith(kinds, "P")] |= PUNCTUATION
    found[0xA1:0x10000] |= HOST
    for listed, bits in LISTED:
        found[list(map(ord, listed))] |= bits
    found[SURROGATES] = found[ord("?")] & (PUNCTUATION | NO_WORD | ENDS) | HOST
    return found
