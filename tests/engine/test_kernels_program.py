"""Programs as a whole: batches, threads, forks, interrupts, and what is refused."""

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

kernels = pytest.importorskip("convlens_kernels")


def aligned(size):
    return -(-size // 64) * 64


def small_network(classes=10, hidden=40):
    """Convolution, depthwise, mean, two linear layers for the whole batch: and the same in torch."""
    random = np.random.default_rng(0)

    def weights(*shape):
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    w1, w2, w3, w4 = weights(24, 3, 3, 3), weights(24, 1, 3, 3), weights(hidden, 24), weights(classes, hidden)
    b3 = weights(hidden, 1).ravel()
    tensors = [
        {"channels": 3, "height": 20, "width": 20, "layout": "nchw"},
        {"channels": 24, "height": 20, "width": 20, "offset": 0},
        {"channels": 24, "height": 10, "width": 10, "offset": 51200},
        {"channels": 24, "height": 1, "width": 1, "offset": 0, "space": "batch"},
        {"channels": hidden, "height": 1, "width": 1, "offset": 128, "space": "batch"},
        {"channels": classes, "height": 1, "width": 1, "offset": 0, "space": "batch"},
        {"channels": classes, "height": 1, "width": 1, "layout": "nchw"},
    ]
    steps = [
        {"op": "convolution", "x": 0, "y": 1, "kernel": [3, 3], "padding": [1] * 4, "activation": "relu"},
        {
            "op": "convolution",
            "x": 1,
            "y": 2,
            "kernel": [3, 3],
            "padding": [1] * 4,
            "stride": [2, 2],
            "groups": 24,
            "activation": "silu",
        },
        {"op": "adaptive_pool", "kind": "average", "x": 2, "y": 3},
        {"op": "linear", "x": 3, "y": 4, "activation": "relu"},
        {"op": "linear", "x": 4, "y": 5},
        {"op": "convert", "x": 5, "y": 6},
    ]
    arrays = [{"weight": w1}, {"weight": w2}, None, {"weight": w3, "bias": b3}, {"weight": w4}, None]
    constants = []
    for step, given in zip(steps, arrays, strict=True):
        if given is not None:
            step["constant"] = len(constants)
            constants.append(kernels.pack(step, tensors, given))
    description = {
        "isa": kernels.isa(),
        "arena": 51200 + 12800,
        "batch_arena": 128 + 192,
        "inputs": [0],
        "outputs": [6],
        "tensors": tensors,
        "steps": steps,
    }

    def reference(x):
        t = [torch.from_numpy(a) for a in (w1, w2, w3, b3, w4)]
        y = F.silu(
            F.conv2d(F.relu(F.conv2d(torch.from_numpy(x), t[0], padding=1)), t[1], stride=2, padding=1, groups=24)
        )
        return F.linear(F.relu(F.linear(y.mean((2, 3)), t[2], t[3])), t[4]).numpy()

    return description, constants, reference


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture(scope="module")
def program(network):
    return kernels.Program(*network[:2])


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 20, 20)).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_batches_from_0_to_17(network, program, threads):
    x = images(17)
    expected = network[2](x)
    for count in range(18):
        found = program.run(x[:count], threads=threads)
        assert found.shape == (count, 10)
        np.testing.assert_allclose(found, expected[:count], rtol=1e-4, atol=1e-5)


def test_each_step_is_measured(program):
    for threads in (1, 2):
        times = program.measure(images(1), repeats=3, threads=threads)
        assert len(times) == 6
        assert all(t > 0 for t in times)
    assert program.step_macs()[0] == 400 * 24 * 27
    assert program.constant_bytes > 0
    assert program.scratch_bytes > 0


def test_eight_threads_call_one_program(network, program):
    wrong = []

    def call(seed):
        for i in range(20):
            x = images(1 + (seed + i) % 5, seed=100 * seed + i)
            if not np.allclose(program.run(x, threads=1 + seed % 3), network[2](x), rtol=1e-4, atol=1e-5):
                wrong.append((seed, i))

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def run_python(code):
    here = str(Path(__file__).parent)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([here, *sys.path])},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_fork_after_a_call_makes_its_own_helpers():
    done = run_python("""
        import os, sys, warnings
        warnings.simplefilter("ignore")
        import numpy as np, convlens_kernels as kernels
        from test_kernels_program import small_network, images
        description, constants, reference = small_network()
        program = kernels.Program(description, constants, threads=2)
        x = images(5)
        before = program.run(x)
        child = os.fork()
        if child == 0:
            same = all(np.array_equal(program.run(x), before) for _ in range(5))
            os._exit(0 if same else 3)
        assert np.array_equal(program.run(x), before)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_stops_a_long_batch():
    done = run_python("""
        import os, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started us with it ignored
        import numpy as np, convlens_kernels as kernels
        from test_kernels_program import small_network, images
        description, constants, reference = small_network()
        for threads in (1, 2):
            program = kernels.Program(description, constants, threads=threads)
            x = np.repeat(images(1), 60000, 0)
            try:
                threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
                for _ in range(100):  # on a fast machine the signal may fall between two batches
                    program.run(x)
            except KeyboardInterrupt:
                print("stopped")
            assert program.run(x[:3]).shape == (3, 10)
    """)
    assert done.stdout == "stopped\n" * 2, done.stderr


def test_memory_that_runs_out_in_the_middle_leaves_the_program_as_it_was():
    """The images' own steps run; then there is no room for the rows of the batch."""
    done = run_python("""
        import resource
        import numpy as np, convlens_kernels as kernels
        from test_kernels_program import small_network, images
        description, constants, reference = small_network()
        x = np.repeat(images(1), 200, 0)
        for threads in (1, 2):
            program = kernels.Program(description | {"batch_arena": 2**24}, constants, threads=threads)
            before = program.run(x[:3])
            taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (taken + 2**29, resource.RLIM_INFINITY))
            try:
                program.run(x)
            except MemoryError:
                print("told")
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
            assert np.array_equal(program.run(x[:3]), before)
    """)
    assert done.stdout == "told\n" * 2, done.stderr


def change(description, **fields):
    return description | fields


def with_step(description, index, **fields):
    steps = [dict(s) for s in description["steps"]]
    steps[index] |= fields
    return description | {"steps": steps}


def with_tensor(description, index, **fields):
    tensors = [dict(t) for t in description["tensors"]]
    tensors[index] |= fields
    return description | {"tensors": tensors}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda d: change(d, isa="sparc"), "packed for sparc"),
        (lambda d: change(d, colour=1), "no field 'colour'"),
        (lambda d: change(d, inputs=[9]), "no tensor 9"),
        (lambda d: change(d, inputs=[1]), "must be nchw or nhwc"),
        (lambda d: change(d, arena=1000), "tensor 1: does not fit into its arena"),
        (lambda d: change(d, batch_arena=64), "does not fit into its arena"),
        (lambda d: with_tensor(d, 1, offset=32), "multiple of 64"),
        (lambda d: with_tensor(d, 1, offset=-64), "offset must be"),
        (lambda d: with_tensor(d, 1, offset=2**63), "does not fit"),
        (lambda d: with_tensor(d, 1, offset=None), r"step 0 \(convolution\): tensor 1 has no offset"),
        (lambda d: with_tensor(d, 1, dtype="int4"), "tensor 1: dtype must be"),
        (lambda d: with_tensor(d, 1, channels=0), "tensor 1: channels, height and width"),
        (lambda d: with_tensor(d, 1, height=2**20, width=2**20), "larger than 2 GiB"),
        (lambda d: with_tensor(d, 1, channels=25), r"constant 0 has \d+ bytes|step 1|step 0"),
        (lambda d: with_step(d, 0, padding=[1, 1, 1]), r"step 0 \(convolution\): padding must be 4 integers"),
        (lambda d: with_step(d, 0, padding=[-1, 1, 1, 1]), "padding must have 4 numbers of at least 0"),
        (lambda d: with_step(d, 0, padding=[2, 2, 2, 2]), "y is 20x20, but"),
        (lambda d: with_step(d, 0, kernel=[0, 3]), "kernel must have 2 numbers"),
        (lambda d: with_step(d, 0, stride=[2**31, 1]), "stride must be"),
        (lambda d: with_step(d, 0, tile=[99, 2]), "no such tile"),
        (lambda d: with_step(d, 0, x=99), "x and y must name tensors"),
        (lambda d: with_step(d, 0, y=0), "input cannot be written"),
        (lambda d: with_step(d, 0, activation="mish"), 'no activation "mish"'),
        (lambda d: with_step(d, 0, colour="red"), 'no field "colour"'),
        (lambda d: with_step(d, 0, constant=None), "packed weights are needed"),
        (lambda d: with_step(d, 0, constant=1), r"constant 1 has \d+ bytes, not the \d+"),
        (lambda d: with_step(d, 0, op="grid_sample"), "no such step"),
        (lambda d: with_step(d, 2, constant=2**31 - 1), r"step 2 \(adaptive_pool\): there is no constant 2147483647"),
        (lambda d: change(d, batch_arena=2**63), "arena must be at most"),
        (lambda d: change(d, arena=2**63), "arena must be at most"),
        (lambda d: with_step(d, 1, groups=7), "groups must divide"),
        (lambda d: with_step(d, 1, residual=3), "residual must have the shape"),
        (lambda d: with_step(d, 1, y_channel=16), "y must have room"),
        (lambda d: change(d, steps=[d["steps"][5], *d["steps"][:5]]), "cannot follow a step for the batch"),
    ],
)
def test_a_wrong_program_is_refused_by_name(network, edit, message):
    description, constants, _ = network
    with pytest.raises(ValueError, match=message):
        kernels.Program(edit(description), constants)


def test_wrong_input_is_refused_by_name(program):
    for x, message in [
        (images(1).astype(np.float64), "must be a NumPy array of float32, not float64"),
        (images(1)[:, :, :10], r"must have shape \(N, 3, 20, 20\), not \(1, 3, 10, 20\)"),
        (images(1)[0], "must have shape"),
        ([[1.0]], "must be a NumPy array of float32, not list"),
    ]:
        with pytest.raises(ValueError, match=message):
            program.run(x)
    with pytest.raises(ValueError, match="none was given"):
        kernels.Program(program.description | {"inputs": [], "steps": []}, []).run()
    with pytest.raises(ValueError, match="1 inputs, not 2"):
        program.run(images(1), images(1))
    with pytest.raises(ValueError, match="threads must be an integer of at least 1, not 0"):
        program.run(images(1), threads=0)


def test_a_lower_instruction_set_can_be_forced():
    names = kernels.isas()
    assert names[-1] == "portable"
    for name in names:
        done = subprocess.run(
            [sys.executable, "-c", "import convlens_kernels as k; print(k.isa())"],
            env=os.environ | {"CONVLENS_ISA": name, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == name
    done = subprocess.run(
        [sys.executable, "-c", "import convlens_kernels as k; print(k.isa())"],
        env=os.environ | {"CONVLENS_ISA": "sse9", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'CONVLENS_ISA: this processor does not run "sse9"; it runs ' in done.stderr


def test_variants_can_be_packed_and_measured():
    tensors = [
        {"channels": 48, "height": 14, "width": 14, "dtype": "float32"},
        {"channels": 64, "height": 14, "width": 14, "dtype": "float32"},
    ]
    step = {"op": "convolution", "x": 0, "y": 1, "kernel": [3, 3], "padding": [1] * 4}
    found = kernels.variants(step, tensors)
    assert {v["variant"] for v in found} == {"direct", "winograd"}
    w = np.random.default_rng(0).standard_normal((64, 48, 3, 3)).astype(np.float32)
    for variant in found:
        assert kernels.measure_step(step | variant, tensors, {"weight": w}, repeats=2) > 0
    assert kernels.step_macs(step, tensors) == 14 * 14 * 64 * 48 * 9
    assert kernels.measure_peak("float32", 0.01) > 0
