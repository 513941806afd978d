"""Kills clients of a submission, and says what is left: run by test_kill.py in a process of its own, without threads.

    kill.py TRAINED FOLDER '{"kills": 20, "seed": 1, …}'     SIGKILL at random instants
    kill.py TRAINED FOLDER '{"every": "submit", …}'          before and after each rename and each question, one by one

Several in a row are done one after the other. Each child is forked from here, after all imports; the last one is left in peace.
"""

import contextlib
import gc
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from qiskit_ibm_runtime.fake_provider import FakeManilaV2

from qad import hardware
from qad.hardware.folder import Folder
from qad.quantum.backends.service import UnreachableError
from tests.hardware.double import Double

LAG, GRACE = 0.03, 0.06
MACHINE = FakeManilaV2()
USUAL = {"kills": 0, "every": "", "seed": 0, "events": 24, "chunk": 8, "most": 10**9, "most_run": 10**9, "delay": 0.0,
         "trouble": 0.0, "mitigation": "none"}


class Trial:
    """One request: submissions that are killed and go on until all is scored."""

    def __init__(self, trained, folder, asked):
        self.trained, self.asked = trained, {**USUAL, **asked}
        self.store, self.out, self.before = folder / "service", folder / "run", folder / "before"

    def service(self):
        asked = self.asked
        return Double(self.store, MACHINE, lag=LAG, **{k: asked[k] for k in ("delay", "most", "most_run", "trouble")})

    def submit(self):
        hardware.submit(self.trained / "model", self.trained / "events.h5", "double", self.out, service=self.service(),
                        grace=GRACE, shots=100, **{k: self.asked[k] for k in ("events", "chunk", "mitigation")})

    def fetch(self):
        with contextlib.suppress(UnreachableError):
            hardware.fetch(self.out, wait=True, poll=0.005, grace=GRACE, service=self.service())

    def whole(self):
        """Have all counts come, and are they scored?"""
        return Folder(self.out).scored() == self.asked["events"]

    def in_peace(self, work):
        for _ in range(200):
            if ended(child(work)) == 0 and (work == self.submit or self.whole()):
                return
        sys.exit("no end")

    def result(self):
        runs, tags = self.service().executions(Folder(self.out).read_array("angles.npz", "angles"))
        return {"scores": (self.out / "scores.csv").read_text(), "once": bool((runs == 1).all()),
                "runs": np.bincount(runs).tolist(), "jobs": max(tags.values()),
                "left": [str(p) for p in self.out.rglob("*.tmp")]}

    def clear(self):
        for folder in (self.store, self.out):
            shutil.rmtree(folder, ignore_errors=True)

    def at_random(self):
        """Undisturbed first, to know how long it takes; then kills, in as many submissions as that takes."""
        luck, found, kills = random.Random(self.asked["seed"]), [], 0
        usual = {}
        for work in (self.submit, self.fetch):
            start = time.monotonic()
            self.in_peace(work)
            usual[work] = time.monotonic() - start
        calm = self.result()
        while kills < self.asked["kills"]:
            self.clear()
            for work in (self.submit, self.fetch):
                for _ in range(luck.randint(2, 5)):
                    pid = child(work)
                    time.sleep(luck.uniform(0, usual[work]))
                    os.kill(pid, signal.SIGKILL)
                    kills += ended(pid) is None
                self.in_peace(work)
            found.append(self.result())
        return {"calm": calm, "kills": kills, "found": found}

    def at_every_effect(self):
        """The n-th boundary of a rename or a question, for all n that there are."""
        self.in_peace(self.submit)
        for folder in (self.store, self.out):
            shutil.copytree(folder, self.before / folder.name)
        self.in_peace(self.fetch)
        calm, found, effect, killed = self.result(), [], 0, True
        while killed:
            self.clear()
            if self.asked["every"] == "fetch":
                shutil.copytree(self.before, self.out.parent, dirs_exist_ok=True)
            killed = ended(child(getattr(self, self.asked["every"]), effect)) is None
            if self.asked["every"] == "submit":
                self.in_peace(self.submit)
            self.in_peace(self.fetch)
            found.append(self.result())
            effect += killed
        return {"calm": calm, "kills": effect, "found": found}


def die_at(effect):
    """SIGKILL at the so manieth boundary of a rename or a call of the service."""
    left = [effect]

    def mortal(function):
        def call(*args, **kwargs):
            for moment in (0, 1):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                if moment == 0:
                    result = function(*args, **kwargs)
            return result
        return call

    os.replace, os.rename = mortal(os.replace), mortal(os.rename)
    for name in ("submit", "find", "state", "counts"):
        setattr(Double, name, mortal(getattr(Double, name)))


def child(work, effect=None):
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            if effect is not None:
                die_at(effect)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work()
            code = 0
        except UnreachableError:
            code = 4
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(pid):
    """The child's exit code; None: it was killed."""
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return None
    if os.WEXITSTATUS(status) not in (0, 4):
        sys.exit("a client failed")
    return os.WEXITSTATUS(status)


if __name__ == "__main__":
    os.fsync = lambda file: None  # a kill is no power cut
    gc.freeze()  # forks share what is there
    gc.disable()
    trained, folder = map(Path, sys.argv[1:3])
    found = []
    for i, text in enumerate(sys.argv[3:]):
        trial = Trial(trained, folder / str(i), json.loads(text))
        found.append(trial.at_every_effect() if trial.asked["every"] else trial.at_random())
    print(json.dumps(found))
