from convlens.choosing.limits import Costs
from convlens.choosing.recommending import Answered, Waiting, could_change, frontier_of, recommend


def costs(parameters, **others):
    return Costs(**{"parameters": parameters, "macs": parameters, "file_bytes": 4, "memory_bytes": 8} | others)


def answered(parameters, mistakes, images=360):
    keys = frozenset(str(i) for i in mistakes)
    return Answered(costs=costs(parameters), images=images, mistakes=keys, seeds=(1 - len(keys) / images,))


def test_the_smallest_that_cannot_be_distinguished_from_the_most_accurate_is_recommended():
    chosen = recommend(
        {"large": answered(900, range(10)), "small": answered(30, range(14)), "tiny": answered(2, range(60))}
    )
    assert (chosen.name, chosen.best) == ("small", "large")
    assert {each.other: each.distinguished for each in chosen.comparisons} == {"small": False, "tiny": True}


def test_of_one_network_at_two_sizes_that_are_equally_good_the_smaller_input_is_recommended():
    small, large = answered(30, range(12)), answered(30, range(11))
    cheap = Answered(costs=costs(30, macs=7), images=360, mistakes=small.mistakes, seeds=small.seeds)
    assert recommend({"net-96": cheap, "net-160": large}).name == "net-96"


def test_a_network_that_is_alone_is_recommended():
    chosen = recommend({"only": answered(5, range(100))})
    assert (chosen.name, chosen.comparisons) == ("only", ())


def test_the_frontier_keeps_what_nothing_beats_in_every_respect():
    of = {
        "a": costs(1),
        "b": costs(2),
        "c": costs(3),
        "slow": costs(2, latency_ms=9.0),
        "quick": costs(3, latency_ms=1.0),
    }
    assert frontier_of(of, {"a": 0.8, "b": 0.7, "c": 0.9}) == ["a", "c"]
    assert frontier_of(of, {"slow": 0.8, "quick": 0.8}) == ["slow", "quick"]  # smaller, or faster
    assert frontier_of(of, {"b": 0.8, "slow": 0.8}) == ["b", "slow"]  # equal where both are known


def waiting(parameters, top1, images=180):
    return Waiting(costs=costs(parameters), top1=top1, images=images)


def test_a_larger_network_cannot_matter_where_too_few_mistakes_are_left_to_mend():
    done = {"good": answered(30, range(5))}  # six images must change sides for a difference to be seen
    assert could_change({"huge": waiting(900, 1.0)}, done, gain=0.1) == []
    done = {"good": answered(30, range(40))}
    assert could_change({"huge": waiting(900, 1.0)}, done, gain=0.1) == ["huge"]


def test_a_smaller_network_matters_for_as_long_as_it_may_come_near():
    done = {"good": answered(30, range(20))}
    assert could_change({"near": waiting(3, 0.9), "hopeless": waiting(2, 0.3)}, done, gain=0.05) == ["near"]
    assert could_change({"hopeless": waiting(2, 0.3)}, done, gain=0.6) == ["hopeless"]
