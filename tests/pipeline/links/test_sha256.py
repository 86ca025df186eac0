import hashlib

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from webtext.pipeline.links import sha256


@given(st.lists(st.binary(max_size=300), max_size=40))
@example([bytes(size) for size in range(300)])
def test_many_at_once_are_what_hashlib_says_of_each(texts):
    ends = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    found = sha256.leading(b"".join(texts), ends)
    assert [int(one).to_bytes(8, "big") for one in found] == [
        hashlib.sha256(text).digest()[:8] for text in texts
    ]
