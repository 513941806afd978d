"""How fast the engine is: ratios to PennyLane taken in the same process and run, rates beside their roofline."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pennylane as qml
import torch

from qad.errors import InputError
from qad.quantum import ansatze, encodings, engine, readout, roofline
from qad.quantum.circuit import Circuit
from qad.quantum.geometry import Metric
from qad.quantum.optimizers import NaturalGradient

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """One line of the table: ``value`` in ``unit``, to be compared with ``target``; ``how`` says what was timed."""

    work: str
    value: float
    unit: str
    target: float
    better: str  # "more" or "less"
    how: str

    @property
    def reached(self) -> bool:
        return self.value >= self.target if self.better == "more" else self.value <= self.target


def clock(work: Callable[[], Any]) -> float:
    """Seconds of ``work``, what it left running on a GPU included."""
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def seconds(work: Callable[[], Any], repeats: int = 5, of: Callable[..., float] = statistics.median) -> float:
    """Median (or what ``of`` takes) of the times of ``work``, after one run to warm up."""
    work()
    return of(clock(work) for _ in range(repeats))


@dataclass
class Problem:
    """Strongly entangling layers on angle-encoded random events: something to train."""

    n_qubits: int
    layers: int
    n_events: int
    latent: int = 2
    device: str = "cpu"
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        rng = np.random.default_rng(0)
        self.shape = (self.layers, self.n_qubits, 3)
        self.circuit = Circuit(encodings.angle, ansatze.strongly_entangling, self.shape, self.n_qubits)
        self.X = torch.tensor(rng.uniform(-1.5, 1.5, (self.n_events, self.n_qubits)), dtype=self.dtype, device=self.device)
        self.start = torch.tensor(rng.uniform(-2, 2, self.shape), dtype=self.dtype, device=self.device)
        self.weights = self.start.clone().requires_grad_()
        self.circuit.program  # compiled before the clock starts  # noqa: B018

    def mean(self) -> None:
        """The pass over the events."""
        self.rho = self.circuit.mean_state(self.X)

    def gradient(self) -> None:
        """Loss and gradient."""
        self.weights.grad = None
        engine.infidelity(self.circuit.rows(self.weights, self.latent), self.rho).backward()

    def stepper(self, approximation: str = "full", most: int = 1000) -> Callable[[], None]:
        """Loss, gradient, metric, solve and update: one natural-gradient step."""
        metric = Metric(self.circuit, self.X, self.weights, approximation, most)
        optimizer = NaturalGradient([self.weights], metric, lr=0.01)

        def step() -> None:
            self.gradient()
            optimizer.step()

        return step


def _pennylane(problem: Problem) -> tuple[Callable[[int], Any], Callable[[int], Any], Callable[[], Any]]:
    """PennyLane's full metric of event i, its block-diagonal metric, and its loss and gradient on all events at once."""
    from pennylane import numpy as pnp

    n, latent = problem.n_qubits, problem.latent
    device = qml.device("default.qubit", wires=n + 1)

    @qml.qnode(device)
    def node(weights: Any, event: Any) -> Any:
        encodings.angle(event, range(n))
        qml.StronglyEntanglingLayers(weights, range(n))
        return qml.expval(qml.Z(n - 1))

    @qml.qnode(device, interface="torch", diff_method="backprop")
    def trash(weights: Any, events: Any) -> Any:
        encodings.angle(events, range(n))
        qml.StronglyEntanglingLayers(weights, range(n))
        return qml.probs(wires=range(latent, n))

    w = pnp.array(problem.start.cpu().numpy(), requires_grad=True)
    events = [pnp.array(x, requires_grad=False) for x in problem.X[:16].cpu().numpy()]

    def loss() -> None:
        weights = problem.start.clone().requires_grad_()
        (1 - trash(weights, problem.X)[:, 0].mean()).backward()

    return (lambda i: qml.adjoint_metric_tensor(node)(w, events[i]),
            lambda i: qml.metric_tensor(node, approx="block-diag")(w, events[i]), loss)


def training_rows(device: str = "cpu") -> list[Row]:
    """Natural gradient and gradients against PennyLane, 8 qubits, 48 parameters, 1,000 events."""
    problem = Problem(8, 2, 1000, device=device)
    once = seconds(problem.mean, 5)
    full, blocks, loss = _pennylane(problem)
    step, block_step = problem.stepper(), problem.stepper("block-diag")
    ours, ours_blocks, ours_gradient = seconds(step, 9), seconds(block_step, 9), seconds(problem.gradient, 9)
    few, some = 2, 8
    theirs = _each(full, few) * problem.n_events
    theirs_blocks = _each(blocks, some) * problem.n_events
    theirs_gradient = seconds(loss, 2)
    size = "8 qubits, 48 parameters, 1,000 events"
    return [
        Row("natural-gradient step over adjoint_metric_tensor", theirs / ours, "×", 10_000, "more",
            f"{size}: {ours * 1e3:.0f} ms for loss, gradient, full metric and solve, after a pass of {once * 1e3:.0f} ms that "
            f"encodes the events; PennyLane's metric alone takes {theirs:,.0f} s, from {few} events timed"),
        Row("the same over block-diagonal metric_tensor", theirs_blocks / ours_blocks, "×", 500, "more",
            f"{size}: {ours_blocks * 1e3:.0f} ms; PennyLane's metric alone {theirs_blocks:,.0f} s, from {some} events timed"),
        Row("loss and gradient over PennyLane's torch broadcasting", theirs_gradient / ours_gradient, "×", 50, "more",
            f"{size}: {ours_gradient * 1e3:.1f} ms, PennyLane {theirs_gradient:.1f} s, all events at once; with the pass of "
            f"{once * 1e3:.0f} ms before every step it would be {theirs_gradient / (ours_gradient + once):,.0f} ×"),
    ]


def _each(work: Callable[[int], Any], count: int) -> float:
    """Mean time of ``work(1)`` … ``work(count)``, after ``work(0)`` to warm up."""
    work(0)
    return statistics.mean(clock(lambda i=i: work(i + 1)) for i in range(count))


def batch_rows(device: str = "cpu", many: int = 1_000_000) -> list[Row]:
    """A full-batch step on many events over the same on a hundredth of them, after the pass that builds ρ̄."""
    small, large = (Problem(8, 2, n, device=device) for n in (many // 100, many))
    passes = [clock(problem.mean) for problem in (small, large)]
    steps = [small.stepper(), large.stepper()]
    times: list[list[float]] = [[], []]
    for _ in range(12):  # in turn: the machine's moods fall on both
        for step, kept in zip(steps, times, strict=True):
            kept.append(clock(step))
    a, b = (statistics.median(t[2:]) for t in times)
    c, d = (seconds(problem.gradient, 9) for problem in (small, large))
    return [Row(f"full-batch step on {many:,} events over {many // 100:,}", b / a, "×", 1.1, "less",
                f"8 qubits, 48 parameters, natural gradient with the metric of 1,000 events: {b * 1e3:.0f} ms over "
                f"{a * 1e3:.0f} ms, loss and gradient alone {d * 1e3:.1f} over {c * 1e3:.1f} ms; the pass before them "
                f"{passes[1]:.1f} s over {passes[0]:.2f} s")]


def scoring_rows(device: str = "cpu", events: int = 2_000_000, dtype: torch.dtype = torch.float32) -> list[Row]:
    """Events scored a second through the kept rows, from an array of features, beside the roofline."""
    peak = roofline.peak(dtype) if device == "cpu" else None
    name = str(dtype).removeprefix("torch.")
    rows = []
    for n, latent, target in ((4, 2, 4e7), (8, 2, 5e6), (10, 2, 1e6)):
        problem = Problem(n, 2, events, latent, device, dtype)
        with torch.no_grad():
            kept = problem.circuit.rows(problem.weights, latent)
        time_all = seconds(lambda p=problem, k=kept: readout.fidelities(k, p.circuit.encoding, p.X, p.n_qubits), 15, of=min)
        how = f"{name} on {device}, best of 15"
        if peak is not None:
            work = roofline.work(kept, problem.circuit.encoding, problem.X[:2], n)
            share = max(work.flops / peak.flops, work.bytes / peak.bytes) * events / time_all
            how += (f", {torch.get_num_threads()} threads; {work.flops:,} operations, {work.bytes} bytes an event, "
                    f"{share:.0%} of the roofline ({peak.flops / 1e9:,.0f} GFlop/s, {peak.bytes / 1e9:,.0f} GB/s measured)")
        rows.append(Row(f"scoring, {n} qubits, {latent} latent", events / time_all, "events/s", target, "more", how))
    return rows


def size_rows(device: str = "cpu") -> list[Row]:
    """Larger circuits: a step on 10 qubits, and the memory that 14 take, in a process of its own."""
    problem = Problem(10, 2, 1000, device=device)
    problem.mean()
    ten = seconds(problem.stepper(), 3)
    code = "from qad.quantum.speed import one_step; one_step(14)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode:
        raise InputError(f"the step on 14 qubits failed: {done.stderr.strip().splitlines()[-1] if done.stderr else 'killed'}")
    gib = float(done.stdout.split()[-1])
    return [
        Row("natural-gradient step, 10 qubits", ten, "s", 2, "less", "60 parameters, 1,000 events, exact full metric"),
        Row("memory of a natural-gradient step, 14 qubits", gib, "GiB", 8, "less",
            f"84 parameters, 1,000 events, a process of its own: {took:.0f} s with imports, encoding and ρ̄"),
    ]


def noise_rows(device: str = "cpu") -> list[Row]:
    """Shots of noisy circuits against SamplerV2 in local testing mode, and one table of events against a run for each."""
    from qad.quantum.backends.speed import EVENTS, SHOTS, seconds

    small, large = seconds("fake_manila"), seconds("fake_torino", alone=0)
    size = f"4 qubits, 11 CNOTs or so, {EVENTS} events, {SHOTS:,} shots"
    return [
        Row("a noisy circuit on FakeTorino over SamplerV2", large["table"] / large["ours"], "×", 10, "more",
            f"{size}: ours {large['ours'] * 1e3:.1f} ms, SamplerV2 in local testing mode {large['table']:.1f} s"),
        Row("the same on FakeManilaV2", small["table"] / small["ours"], "×", 10, "more",
            f"{size}: ours {small['ours'] * 1e3:.1f} ms, SamplerV2 {small['table']:.2f} s"),
        Row("events as one table over one run for each", small["alone"] / small["table"], "×", 10, "more",
            f"{size}, SamplerV2 on FakeManilaV2: {small['table']:.2f} s for one table, {small['alone']:.0f} s event by event, "
            "from 3 timed"),
    ]


def one_step(n_qubits: int) -> None:
    """ρ̄ and one natural-gradient step on ``n_qubits``; prints the process's peak memory in GiB."""
    problem = Problem(n_qubits, 2, 1000)
    problem.mean()
    problem.stepper()()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def start_rows(device: str = "cpu") -> list[Row]:
    """What a user waits for before anything happens: new processes, in turn with one that imports NumPy alone.

    Processor time, which other work on the machine moves less than a clock on the wall.
    """
    commands = {"import numpy": ["-c", "import numpy"], "import qad": ["-c", "import qad"],
                "qad --help": ["-m", "qad", "--help"]}
    took: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(9):
        for name, words in commands.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    best = {name: min(times) for name, times in took.items()}
    how = "processor time, best of 9 new processes, in turn: {:.3f} s, python -c 'import numpy' {:.3f} s"
    return [Row(f"{name} over import numpy", best[name] / best["import numpy"], "×", target, "less",
                how.format(best[name], best["import numpy"]))
            for name, target in (("import qad", 1.8), ("qad --help", 4.5))]  # 0.2 and 0.5 s where NumPy takes 0.11 s


SECTIONS: dict[str, Callable[[str], list[Row]]] = {
    "training": training_rows, "batch": batch_rows, "scoring": scoring_rows, "size": size_rows,
    "noise": noise_rows, "start": start_rows,
}


def measure(sections: list[str] | None = None, device: str = "cpu", progress: Progress | None = None) -> list[Row]:
    """The table, or some of its sections (the names of ``SECTIONS``); three minutes on 2 cores.

    Raises :class:`InputError` for an unknown section or a device that is not there.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise InputError(f"device '{device}': this machine has no GPU that torch can use; leave it at cpu")
    wanted = sections or list(SECTIONS)
    for name in wanted:
        if name not in SECTIONS:
            raise InputError(f"unknown section '{name}' of the speed table; expected {', '.join(SECTIONS)}")
    rows: list[Row] = []
    for i, name in enumerate(wanted):
        rows += SECTIONS[name](device)
        if progress is not None:
            progress(i + 1, len(wanted))
    return rows


def curves(device: str = "cpu", progress: Progress | None = None) -> dict[str, list[dict[str, float]]]:
    """Seconds of the pass, of loss and gradient and of a natural-gradient step against qubits, parameters and events."""
    cases = [("qubits", n, (n, 2, 1000)) for n in (4, 6, 8, 10, 12, 14)]
    cases += [("parameters", 24 * layers, (8, layers, 1000)) for layers in (1, 2, 4, 8, 16)]
    cases += [("events", n, (8, 2, n)) for n in (100, 1000, 10_000, 100_000, 1_000_000)]
    found: dict[str, list[dict[str, float]]] = {}
    for i, (axis, value, arguments) in enumerate(cases):
        problem = Problem(*arguments, device=device)
        once = clock(problem.mean)
        repeats = 1 if problem.n_qubits > 10 else 3
        found.setdefault(axis, []).append({
            axis: value, "pass": once, "gradient": seconds(problem.gradient, repeats),
            "step": seconds(problem.stepper(), repeats)})
        if progress is not None:
            progress(i + 1, len(cases))
    return found


def machine() -> dict[str, Any]:
    """Where the table was taken."""
    return {"processor": _processor(), "cores": len(os.sched_getaffinity(0)), "threads": torch.get_num_threads(),
            "versions": {p: version(p) for p in ("torch", "numpy", "numba", "pennylane", "qiskit-aer")},
            "python": platform.python_version()}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as f:
            return next(line.partition(":")[2].strip() for line in f if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def as_json(rows: list[Row], **more: Any) -> str:
    """For scripts."""
    return json.dumps({"machine": machine(), "rows": [{**asdict(r), "reached": r.reached} for r in rows], **more}, indent=1)
