import threading
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
import torch

from core.cache import TensorCache, size_of


def kilobytes(count: int) -> torch.Tensor:
    return torch.zeros(count * 256)


def test_made_once_and_kept() -> None:
    cache, made = TensorCache(1 << 20), []

    def make() -> torch.Tensor:
        made.append(1)
        return kilobytes(1)

    assert cache.get("a", make) is cache.get("a", make) is cache.peek("a")
    assert len(made) == 1
    assert cache.peek("b") is None
    assert cache.used == 1024 + 256


def test_least_recently_used_goes_first() -> None:
    cache = TensorCache(3 * (1024 + 256))
    for key in "abc":
        cache.put(key, kilobytes(1))
    cache.peek("a")
    cache.get("b", lambda: kilobytes(1))
    cache.put("d", kilobytes(1))
    assert [cache.peek(key) is not None for key in "abcd"] == [True, True, False, True]
    assert len(cache) == 3
    assert cache.used <= cache.budget


def test_a_value_larger_than_the_budget_is_handed_out_but_not_kept() -> None:
    cache = TensorCache(2000)
    cache.put("small", kilobytes(1))
    assert cache.get("large", lambda: kilobytes(9)).numel() == 9 * 256
    assert cache.peek("large") is None
    assert cache.peek("small") is not None


def test_a_key_put_again_is_counted_once() -> None:
    cache = TensorCache(1 << 20)
    cache.put("a", kilobytes(4))
    cache.put("a", kilobytes(1))
    assert cache.used == 1024 + 256


def test_a_failed_make_leaves_nothing() -> None:
    cache = TensorCache(1 << 20)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 / 0)
    assert (len(cache), cache.used) == (0, 0)


def test_closed_for_good() -> None:
    cache = TensorCache(1 << 20)
    cache.put("a", kilobytes(1))
    cache.close()
    cache.put("b", kilobytes(1))
    assert (len(cache), cache.used) == (0, 0)
    assert cache.get("c", lambda: 3) == 3


def test_clear_forgets_and_goes_on() -> None:
    cache = TensorCache(1 << 20)
    cache.put("a", kilobytes(1))
    cache.clear()
    assert (len(cache), cache.used) == (0, 0)
    cache.put("a", kilobytes(1))
    assert len(cache) == 1


@dataclass(frozen=True)
class Tape:
    values: object
    name: str = "x"


def test_sizes_of_what_is_inside() -> None:
    k = kilobytes(1)
    for value in (k, (k,), [k], {"a": k}, MappingProxyType({"a": k}), Tape({"a": (k,)}), np.zeros(128), bytes(1024)):
        assert size_of(value) == 1024 + 256
    assert size_of(k[:1]) == 1024 + 256, "a view keeps all of its storage alive"
    assert size_of(None) == 256


def test_threads_never_break_the_budget() -> None:
    cache = TensorCache(20 * 1280)

    def work(seed: int) -> None:
        for step in range(300):
            key = (seed * 7 + step * 13) % 60
            assert cache.get(key, lambda key=key: torch.full((256,), float(key)))[0] == key
            if step % 50 == 49:
                cache.clear()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.used <= cache.budget
    assert cache.used == sum(size for _, size in cache._entries.values())


def test_a_discarded_value_is_gone_and_counts_no_more() -> None:
    cache = TensorCache(10_000)
    cache.put("one", torch.zeros(10))
    used = cache.used
    cache.put("two", torch.zeros(20))
    cache.discard("two")
    cache.discard("missing")
    assert (cache.peek("two"), cache.used, len(cache)) == (None, used, 1)
