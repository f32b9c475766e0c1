from app.core import bounded_cache
from app.core.bounded_cache import BoundedCache


def test_entries_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(bounded_cache.time, "monotonic", lambda: now[0])
    cache = BoundedCache[str, int]()
    cache.put("a", 1, seconds=5)
    assert cache.get("a") == 1
    now[0] = 105.0
    assert cache.get("a") is None


def test_there_are_never_too_many():
    cache = BoundedCache[int, int](most=3)
    for number in range(10):
        cache.put(number, number, seconds=60)
    assert sum(cache.get(number) is not None for number in range(10)) <= 3
    assert cache.get(9) == 9
