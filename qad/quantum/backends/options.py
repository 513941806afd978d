"""What a job on an IBM machine may be told, checked before anything is sent; and what of it will have no effect."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from qad.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from qiskit.providers import BackendV2

MODES = ("batch", "session", "job")
SEQUENCES = ("XX", "XpXm", "XY4")
SAMPLERS = ("exact", "runtime")


class IgnoredOptionWarning(UserWarning):
    """Options that have no effect where they were given; the message names each and says why."""


@dataclass(frozen=True)
class RuntimeOptions:
    """Options of jobs.

    dynamical_decoupling  pulses on idle qubits: ``XX``, ``XpXm`` or ``XY4``; None: none
    twirl_gates           two-qubit gates between random Paulis, which turns coherent errors into stochastic ones
    twirl_measure         random flips before the readout, undone after it: readout errors become symmetric
    num_randomizations    of a twirled circuit, None: the service's choice; shots are rounded up to a multiple of it
    rep_delay             between shots [s]
    max_execution_time    of a job on the machine [s]; the service cancels what takes longer, and charges it
    mode                  ``batch``: jobs one after the other, for scores; ``session``: the machine is reserved, and paid for,
                          until it is closed, for training; ``job``: each for itself
    max_open_time         of a batch or session [s]
    sampler               of a snapshot: ``exact``: our distribution of the noisy circuit, then counts; ``runtime``: IBM's
                          local testing mode

    Raises :class:`InputError`.
    """

    dynamical_decoupling: str | None = None
    twirl_gates: bool = False
    twirl_measure: bool = False
    num_randomizations: int | None = None
    rep_delay: float | None = None
    max_execution_time: int | None = None
    mode: str = "batch"
    max_open_time: int | None = None
    sampler: str = "exact"

    def __post_init__(self) -> None:
        for name, known in (("mode", MODES), ("sampler", SAMPLERS), ("dynamical_decoupling", SEQUENCES)):
            value = getattr(self, name)
            if value not in known and not (value is None and name == "dynamical_decoupling"):
                raise InputError(did_you_mean(str(value), known, name))
        for name in ("twirl_gates", "twirl_measure"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name}={getattr(self, name)!r}: expected true or false")
        for name in ("num_randomizations", "max_execution_time", "max_open_time"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                unit = "" if name == "num_randomizations" else " of seconds"
                raise InputError(f"{name}={value!r}: expected a whole number{unit} from 1")
        delay = self.rep_delay
        if delay is not None and (isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay < 1):
            raise InputError(f"rep_delay={delay!r}: expected seconds from 0 to 1, such as 0.00025")

    @classmethod
    def of(cls, options: RuntimeOptions | dict[str, Any] | None) -> RuntimeOptions:
        """Options from a dict of them, too."""
        if isinstance(options, cls):
            return options
        known = [f.name for f in fields(cls)]
        for name in options or {}:
            if name not in known:
                raise InputError(did_you_mean(str(name), known, "option of a job"))
        return cls(**(options or {}))

    @property
    def twirled(self) -> bool:
        """Whether a circuit runs in several randomisations."""
        return self.twirl_gates or self.twirl_measure

    @property
    def given(self) -> dict[str, Any]:
        """Those that are not as by default."""
        default = RuntimeOptions()
        return {name: value for name, value in asdict(self).items() if value != getattr(default, name)}

    def executions(self, shots: int) -> int:
        """Shots of one row of angles that are run when ``shots`` are asked for."""
        if not self.twirled:
            return shots
        each = -(-shots // self.num_randomizations) if self.num_randomizations else max(64, -(-shots // 32))
        return each * (self.num_randomizations or -(-shots // each))


def is_snapshot(machine: BackendV2 | str) -> bool:
    """Whether ``machine`` is simulated on this computer."""
    if isinstance(machine, str):
        return machine.startswith("fake_")
    return not any(kind.__name__ == "IBMBackend" for kind in type(machine).__mro__)


def ignored(options: RuntimeOptions | dict[str, Any] | None, machine: BackendV2 | str) -> list[str]:
    """A sentence for every option that will have no effect on ``machine``, with the reason; empty: all will."""
    from qad.quantum.backends.primitive import client_side

    options = RuntimeOptions.of(options)
    reasons: dict[str, str] = {}
    if is_snapshot(machine):
        if options.sampler == "exact":
            why = "the exact distribution of a snapshot has neither idle qubits nor coherent errors; type sampler='runtime'"
        else:
            why = "" if client_side() else "local testing mode of this qiskit-ibm-runtime ignores it; 0.50 and later apply it"
        if why:
            reasons |= dict.fromkeys(("dynamical_decoupling", "twirl_gates", "twirl_measure", "num_randomizations"), why)
        reasons |= dict.fromkeys(("rep_delay", "max_execution_time"), "a snapshot has no clock")
        reasons |= dict.fromkeys(("mode", "max_open_time"), "a snapshot has no queue")
    else:
        reasons["sampler"] = "it is for snapshots"
        if options.mode == "job":
            reasons["max_open_time"] = "mode='job' opens neither batch nor session"
        if not isinstance(machine, str) and not getattr(machine, "dynamic_reprate_enabled", False):
            reasons["rep_delay"] = "this machine has a fixed one"
    if not options.twirled:
        reasons.setdefault("num_randomizations", "nothing is twirled; set twirl_gates or twirl_measure")
    return [f"{name}={value!r} has no effect: {reasons[name]}" for name, value in options.given.items() if name in reasons]
