"""Bodies that are packed: what gzip members hold, and nothing that costs more than it should."""

from __future__ import annotations

import gzip
import random
import time
import zlib

import pytest

from service.request_body import _unpacked

RANDOM = random.Random(1)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 300_000])
@pytest.mark.parametrize("members", [1, 2, 50])
def test_what_was_packed(size: int, members: int) -> None:
    plain = RANDOM.randbytes(size)
    step = size // members + 1
    packed = [gzip.compress(plain[n * step : (n + 1) * step]) for n in range(members)]
    body = b"".join(packed)
    assert _unpacked(body, size) == plain
    if size:
        with pytest.raises(OverflowError):
            _unpacked(body, size - 1)
        with pytest.raises(zlib.error):
            _unpacked(body[:-1], size)
    with pytest.raises(zlib.error):
        _unpacked(body + b"no gzip", size)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    began = time.process_time()
    with pytest.raises(OverflowError):
        _unpacked(bomb, 100_000)
    assert time.process_time() - began < 1


def test_many_empty_members_cost_no_hours() -> None:
    began = time.process_time()
    with pytest.raises(OverflowError):
        _unpacked(gzip.compress(b"") * 1_000_000, 100_000_000)
    assert time.process_time() - began < 3
