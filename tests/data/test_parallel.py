import threading

import pytest

from convlens.data.parallel import in_order


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_whatever_ends_first(workers):
    assert list(in_order(lambda x: x * x, range(50), workers=workers)) == [x * x for x in range(50)]


def test_no_more_is_begun_than_may_wait_for_the_caller():
    begun, lock = [], threading.Lock()

    def note(item):
        with lock:
            begun.append(item)
        return item

    results = in_order(note, range(100), workers=2, ahead=5)
    assert [next(results) for _ in range(10)] == list(range(10))
    results.close()  # type: ignore[attr-defined]
    assert 10 <= len(begun) <= 10 + 5


def test_what_a_task_raises_reaches_the_caller_in_its_place():
    def halve(item):
        if item == 3:
            raise ValueError("three is odd")
        return item

    results = in_order(halve, range(6), workers=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three is odd"):
        next(results)
