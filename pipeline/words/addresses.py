r"""Which words are addresses, compiled: `https://a.test/b`, `mail@a.test`, `8.8.8.8:53`.

The answer is that of this regular expression, which spaCy uses in its English tokenizer. L is a
letter in lower case, or of a script that has no cases:

    ([\w+.-]{2,}://)?  (\S+@)?  (HOST\.)+L{2,63} or an IPv4 address  (:\d{2,5})?  ([/?#]\S*)?

HOST has 1 to 63 characters, and the IPv4 address must not be in a private network. Every part ends
at the first character that it cannot contain, so only the places after an @ are tried twice.
"""

from typing import Any

from webtext.pipeline.core.compiled import njit
from webtext.pipeline.words.characters import DIGIT, HOST, LOWER, SCHEME

DOT, HYPHEN, UNDERSCORE, AT = 0x2E, 0x2D, 0x5F, 0x40
COLON, SLASH, QUESTION, HASH = 0x3A, 0x2F, 0x3F, 0x23
LONGEST_NAME = 63  # characters between two dots of a host


@njit
def ends_address(codes: Any, at: int, high: int, classes: Any) -> bool:
    """Return whether a host may end here: a port may follow, and then a part after /, ? or #."""
    if at < high and codes[at] == COLON:
        digits = at + 1
        while digits < high and classes[codes[digits]] & DIGIT:
            digits += 1
        if not 2 <= digits - at - 1 <= 5:
            return False
        at = digits
    return at == high or codes[at] == SLASH or codes[at] == QUESTION or codes[at] == HASH


@njit
def stands(codes: Any, low: int, high: int, number: int) -> bool:
    """Return whether the text here is `number`, which is below 1,000, followed by a dot."""
    at = low
    scale = 100 if number > 99 else 10
    while scale:
        if at >= high or codes[at] != 0x30 + number // scale % 10:
            return False
        at += 1
        scale //= 10
    return at < high and codes[at] == DOT


@njit
def public_ip(codes: Any, low: int, high: int, classes: Any) -> Any:
    """Return whether a public IPv4 address begins here, and ends as a host may end."""
    if stands(codes, low, high, 10) or stands(codes, low, high, 127):
        return False
    if stands(codes, low, high, 192) and stands(codes, low + 4, high, 168):
        return False
    if stands(codes, low, high, 172) and low + 6 < high and codes[low + 6] == DOT:
        tens, ones = codes[low + 4], codes[low + 5]
        if tens == 0x31 and 0x36 <= ones <= 0x39:
            return False
        if tens == 0x32 and classes[ones] & DIGIT:
            return False
        if tens == 0x33 and 0x30 <= ones <= 0x31:
            return False
    at = low
    for part in range(4):
        digits = at
        while digits < high and classes[codes[digits]] & DIGIT:
            digits += 1
        if not 1 <= digits - at <= 3:
            return False
        at = digits
        if part < 3:
            if at == high or codes[at] != DOT:
                return False
            at += 1
    return ends_address(codes, at, high, classes)


@njit
def domain(codes: Any, low: int, high: int, classes: Any) -> bool:
    """Return whether a domain name begins here, and ends as a host may end."""
    start = low
    while True:
        at = start
        while at < high and codes[at] != DOT:
            allowed = classes[codes[at]] & HOST or codes[at] == UNDERSCORE or codes[at] == HYPHEN
            if not allowed or at - start == LONGEST_NAME:
                return False
            at += 1
        if at in (high, start) or not classes[codes[start]] & HOST:
            return False
        start = at = at + 1
        while at < high and classes[codes[at]] & LOWER:
            at += 1
        if 2 <= at - start <= LONGEST_NAME and ends_address(codes, at, high, classes):
            return True


@njit
def is_address(codes: Any, low: int, high: int, classes: Any) -> bool:
    """Return whether a chunk is a URL, an e-mail address or an IP address."""
    scheme = low
    while scheme < high and classes[codes[scheme]] & SCHEME:
        scheme += 1
    after = low
    slashes = scheme + 2 < high and codes[scheme + 1] == codes[scheme + 2] == SLASH
    if scheme - low >= 2 and slashes and codes[scheme] == COLON:
        after = scheme + 3
    for at in range(low, high):
        begins = at in (low, after) or (at > low + 1 and codes[at - 1] == AT)
        if begins and (public_ip(codes, at, high, classes) or domain(codes, at, high, classes)):
            return True
    return False
