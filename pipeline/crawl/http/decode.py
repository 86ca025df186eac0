"""Undo a response's Content-Encoding within limits (`codings.py` has the codings)."""

from webtext.pipeline.archive import codings

MAX_LAYERS = 2  # encodings of one body; more is an attack, not an honest server
DECODERS = codings.DECODERS


class EncodingError(ValueError):
    """A body that cannot be decoded."""


def decoded(body: bytes, header: str, most: int) -> tuple[bytes, bool, bool | None]:
    """Return `body` decoded, at most `most` bytes; whether it was cut; whether it was complete.

    The last is None if it was not coded: a body that is plainly text is not, whatever its head
    says. A stream that ends too early, or is damaged, gives the bytes up to there and counts as
    incomplete.

    Raises:
        EncodingError: an unknown encoding, too many of them, or bytes that are not in it.
    """
    names = codings.names(header)
    if len(names) > MAX_LAYERS:
        raise EncodingError(f"{len(names)} content encodings, at most {MAX_LAYERS} are undone")
    cut, whole = False, None
    for name in reversed(names):
        if name not in DECODERS:
            if codings.plain(body):
                continue
            raise EncodingError(f"content encoding {name[:40]} is not known")
        found = codings.undone(body, name, most + 1)
        if found.broken and codings.plain(body):
            continue
        if found.broken and not found.data:
            raise EncodingError(f"content encoding {name}: the body is none")
        body = found.data
        cut = cut or len(body) > most
        whole = whole is not False and (found.ended or cut)
    return body[:most], cut or len(body) > most, whole
