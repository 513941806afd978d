"""Jobs on quantum computers that survive a closed laptop: submit, ask, fetch, each in one call::

    hardware.dry_run("model", "top.h5", "ibm_torino", shots=4096)            # qubits, gates, QPU seconds; spends nothing
    hardware.submit("model", "top.h5", "ibm_torino", "jobs/run1", shots=4096)
    hardware.status("jobs/run1")
    hardware.fetch("jobs/run1")                                              # jobs/run1/scores.csv, hours later

A submission is a folder (:mod:`qad.hardware.folder`) that can be copied; each job is noted before it is sent
(:mod:`qad.hardware.jobs`), so a kill at any instant loses no finished job and pays for none twice.
"""

from qad.hardware.commands import dry_run, fetch, resume, status, submit
from qad.hardware.cost import Estimate
from qad.hardware.standing import Row, Standing

__all__ = ["Estimate", "Row", "Standing", "dry_run", "fetch", "resume", "status", "submit"]
