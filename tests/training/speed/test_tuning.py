"""What is tried and what is taken, with a clock that knows beforehand what each candidate takes."""

from dataclasses import replace

import pytest

from convlens.training import TrainConfig
from convlens.training.speed.speed_search import (
    CandidateError,
    Found,
    Machine,
    Race,
    first_numerics,
    opening,
    search,
    search_compiled,
    seconds_allowed,
)

CPU = Machine(kind="cpu", threads=2, bfloat16=True, depthwise=False, averages=False, lacks_to_compile=None, layers=10)
GPU = Machine(kind="cuda", threads=8, bfloat16=True, depthwise=False, averages=False, lacks_to_compile=None, layers=10)


class Table:
    """Milliseconds by title; a text is an error, and what is not in it takes `otherwise`."""

    def __init__(self, times, otherwise=10.0, spent=0.0, compile_seconds=30.0):
        self.times, self.otherwise, self.spent, self.compile_seconds = times, otherwise, spent, compile_seconds
        self.raced = []

    def race(self, best, candidate):
        self.raced.append(candidate.title)
        took = [self.times.get(one.title, self.otherwise) for one in (best, candidate)]
        if isinstance(took[1], str):
            raise CandidateError(took[1])
        return Race(best=took[0], candidate=took[1], first_seconds=self.compile_seconds)


def searched(times, machine=CPU, steps=1000, **options):
    settings = {name: options.pop(name) for name in list(options) if name in TrainConfig.__dataclass_fields__}
    config = TrainConfig(data="digits", **settings)
    found = Found(best=first_numerics(config, machine.kind, machine))
    table = Table(times, **options)
    search(config, machine, found, table, steps)
    search_compiled(config, machine, found, table, steps)
    return found, table


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, "float32, 2 threads"),
        ({"bfloat16, 2 threads": 9.5, "float32, 1 thread": 9.9}, "float32, 2 threads"),  # not clearly faster
        ({"bfloat16, 2 threads": 4.0, "float32, 1 thread": 12.0}, "bfloat16, 2 threads"),
        ({"float32, 1 thread": 5.0, "bfloat16, 1 thread": 6.0}, "float32, 1 thread"),
        ({"float32, 1 thread": 8.0, "bfloat16, 1 thread": 3.0}, "bfloat16, 1 thread"),
        ({"float32, 2 threads, contiguous": 5.0}, "float32, 2 threads, contiguous"),
    ],
)
def test_one_thing_after_another_is_tried_from_the_best_so_far(times, expected):
    found, table = searched(times)
    assert found.best.title == expected
    assert set(found.milliseconds) == {"float32, 2 threads", *table.raced}
    assert len(table.raced) == len(set(table.raced)) == 3  # and not every combination


def test_own_depthwise_gradients_come_with_bfloat16_and_are_raced_against_those_of_torch():
    machine = Machine(
        kind="cpu", threads=1, bfloat16=True, depthwise=True, averages=False, lacks_to_compile=None, layers=10
    )
    own = "bfloat16, 1 thread, own depthwise gradients"
    assert searched({own: 5.0}, machine)[0].best.title == own
    assert searched({own: 5.0, "bfloat16, 1 thread": 2.0}, machine)[0].best.title == "bfloat16, 1 thread"
    assert searched({own: 12.0, "bfloat16, 1 thread": 2.0}, machine)[0].best.title == "float32, 1 thread"


def test_what_the_configuration_names_is_not_tried():
    found, table = searched({}, precision="bfloat16", threads=2, memory_format="contiguous")
    assert (found.best.title, table.raced) == ("bfloat16, 2 threads, contiguous", [])


def test_a_candidate_that_does_not_work_is_left_out_with_its_reason():
    found, _ = searched({"bfloat16, 2 threads": "no kernel", "float32, 2 threads, contiguous": 5.0})
    assert found.failed == {"bfloat16, 2 threads": "no kernel"}
    assert found.best.title == "float32, 2 threads, contiguous"


def test_where_no_time_is_left_only_threads_and_precision_are_tried():
    found, table = searched({}, spent=100.0)
    assert table.raced == ["float32, 1 thread", "bfloat16, 2 threads"]
    assert found.skipped["float32, 2 threads, contiguous"] == "no time was left for it"


@pytest.mark.parametrize(("steps", "milliseconds", "expected"), [(10, 5, 2), (10_000, 100, 20), (10**6, 900, 60)])
def test_a_search_takes_a_small_share_of_the_training_within_bounds(steps, milliseconds, expected):
    assert seconds_allowed(steps, milliseconds) == expected


def test_on_a_gpu_both_ways_of_compiling_are_raced_and_threads_are_not():
    found, table = searched({"bfloat16": 5.0, "bfloat16, compiled": 4.0}, GPU, steps=10**6)
    assert table.raced == [
        "bfloat16",
        "bfloat16, contiguous",
        "bfloat16, compiled",
        "bfloat16, compiled (reduce-overhead)",
    ]
    assert found.best.compile == "default"
    graphs = {"bfloat16": 5.0, "bfloat16, compiled": 4.0, "bfloat16, compiled (reduce-overhead)": 3.0}
    assert searched(graphs, GPU, steps=10**6)[0].best.compile == "reduce-overhead"


def test_float16_is_for_gpus_without_bfloat16():
    older = Machine(
        kind="cuda", threads=8, bfloat16=False, depthwise=False, averages=False, lacks_to_compile=None, layers=10
    )
    assert searched({"float16": 4.0}, older)[0].best.precision == "float16"
    processor = Machine(
        kind="cpu", threads=1, bfloat16=False, depthwise=False, averages=False, lacks_to_compile=None, layers=10
    )
    assert searched({}, processor)[1].raced == ["float32, 1 thread, contiguous"]


@pytest.mark.parametrize(
    ("steps", "compiled", "expected"),
    [
        (10**5, 4.0, "default"),  # 600 s saved for 30
        (10**5, 9.0, "none"),  # not clearly faster
        (10**5, 12.0, "none"),
    ],
)
def test_compiling_must_pay_for_itself(steps, compiled, expected):
    found, table = searched({"float32, 2 threads, compiled": compiled}, steps=steps)
    assert "float32, 2 threads, compiled" in table.raced
    assert found.best.compile == expected


def test_compiling_that_took_longer_than_it_saves_is_not_taken():
    found, _ = searched({"float32, 2 threads, compiled": 4.0}, steps=10**5, compile_seconds=601.0)
    assert found.best.compile == "none"
    assert found.compiled["default"] == {"best": 10.0, "candidate": 4.0, "first_seconds": 601.0}


@pytest.mark.parametrize(
    ("machine", "options", "reason"),
    [
        (CPU, {"steps": 1000}, "too short to pay"),
        (CPU, {"steps": 10**6, "recompute": True}, "not with --recompute"),
        (CPU, {"steps": 10**6, "freeze_epochs": 1}, "not with --recompute or --freeze-epochs"),
        (
            Machine(
                kind="cpu",
                threads=1,
                bfloat16=False,
                depthwise=False,
                averages=False,
                lacks_to_compile="no g++",
                layers=1,
            ),
            {"steps": 10**6},
            "no g++",
        ),
    ],
)
def test_where_compiling_is_not_tried_the_reason_is_kept(machine, options, reason):
    found, table = searched({}, machine, **options)
    assert not any("compiled" in title for title in table.raced)
    assert reason in next(why for title, why in found.skipped.items() if "compiled" in title)


def test_what_was_timed_or_failed_before_is_not_compiled_again():
    config = TrainConfig(data="digits")
    found = Found(best=first_numerics(config, "cpu", CPU), milliseconds={"float32, 2 threads": 10.0})
    found.compiled["default"] = {"best": 10.0, "candidate": 4.0, "first_seconds": 30.0}
    table = Table({})
    search_compiled(config, CPU, found, table, 10**5)
    assert (found.best.compile, table.raced) == ("default", [])
    found = Found(best=first_numerics(config, "cpu", CPU), milliseconds={"float32, 2 threads": 10.0})
    found.failed["float32, 2 threads, compiled"] = "broken"
    search_compiled(config, CPU, found, table, 10**6)
    assert (found.best.compile, table.raced) == ("none", [])


def test_one_line_says_what_was_chosen_and_what_each_gave():
    found, _ = searched({"bfloat16, 2 threads": 4.0})
    line = opening(replace(found.best, milliseconds=found.milliseconds))
    assert line == (
        "bfloat16, 2 threads (a step took 10.0 ms in float32, 2 threads, 10.0 ms in float32, 1 thread, "
        "4.0 ms in bfloat16, 2 threads, 10.0 ms in bfloat16, 2 threads, contiguous)"
    )


def test_averages_of_our_own_are_taken_where_there_are_some_and_not_where_the_network_is_compiled():
    machine = replace(CPU, averages=True)
    found, _ = searched({"float32, 2 threads, compiled": 4.0}, machine, steps=10**5)
    assert (found.best.compile, found.best.average) == ("default", "torch")
    assert searched({}, machine)[0].best.average == "convlens.training.speed.detours"
    assert searched({})[0].best.average == "torch"
