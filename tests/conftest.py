"""Shared fixtures: toy jets without a generator, a few real jets, and the published events where they are at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qad.data import Sample

PROJECT = Path(__file__).parents[1]
#: A study of two files, which lie beside it, as a user writes one.
STUDY = """name: mine
title: mine
samples:
  qcd: {file: qcd.h5}
  top: {file: top.h5}
split: {train: 150, test: 80}
train: [qcd]
representations:
  observables: {steps: [{use: substructure}, {use: standardise}]}
detectors:
  - {use: mahalanobis}
seeds: [0]
"""
#: A slow machine must not add lines of progress to what tests read.
os.environ["QAD_PROGRESS_SECONDS"] = "1e9"


def toy_jets(n: int, seed: int, prongs: int = 1, particles: int = 40) -> Sample:
    """Jets with ``prongs`` hard cores and soft radiation: fast, obviously different for different prongs."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, (n, 1)) + 2 * np.pi * rng.integers(0, prongs, (n, particles)) / max(prongs, 1)
    radius = (0.35 if prongs > 1 else 0.0) + np.abs(rng.normal(0, 0.08, (n, particles)))
    axis_eta, axis_phi = rng.uniform(-1.5, 1.5, (n, 1)), rng.uniform(-np.pi, np.pi, (n, 1))
    pt = rng.pareto(1.5, (n, particles)) + 0.1
    pt *= 600 / pt.sum(1, keepdims=True)
    eta, phi = axis_eta + radius * np.cos(angle), axis_phi + radius * np.sin(angle)
    jets = np.stack([pt, eta, (phi + np.pi) % (2 * np.pi) - np.pi, np.full_like(pt, 0.14)], -1)
    jets = np.take_along_axis(jets, np.argsort(-pt, 1)[..., None], 1)
    count = rng.integers(particles // 2, particles + 1, n)
    jets[np.arange(particles) >= count[:, None]] = 0
    return Sample(particles=jets, label=np.full(n, int(prongs > 1)), process="top" if prongs > 1 else "qcd",
                  extras={"event": np.arange(n) // 2}, meta={"generator": "toy", "seed": seed})


def toy_events(n: int, seed: int = 0, jets: int = 4) -> Sample:
    """Events of nineteen objects: MET, up to two electrons and muons, Poisson(``jets``) jets, pT in GeV."""
    rng = np.random.default_rng(seed)
    slots = ["met"] + ["e"] * 4 + ["mu"] * 4 + ["jet"] * 10
    particles = np.zeros((n, 19, 4), dtype=np.float32)
    for first, room, mean, least in ((1, 4, 0.7, 3), (5, 4, 0.7, 3), (9, 10, jets, 15)):
        there = np.arange(room) < np.minimum(rng.poisson(mean, n), room)[:, None]
        pt = -np.sort(-(least + rng.exponential(20, (n, room))) * there, axis=1)
        place = np.stack([rng.uniform(-2, 2, (n, room)), rng.uniform(-np.pi, np.pi, (n, room))], -1) * there[..., None]
        particles[:, first : first + room, :3] = np.concatenate([pt[..., None], place], -1)
    momentum = (particles[..., 0] * np.exp(1j * particles[..., 2])).sum(1)
    particles[:, 0, 0], particles[:, 0, 2] = np.abs(momentum), np.angle(-momentum)
    return Sample(particles=particles, process="toy", meta={"slots": slots})


@pytest.fixture(scope="session")
def qcd_toys() -> Sample:
    return toy_jets(400, 1)


@pytest.fixture(scope="session")
def top_toys() -> Sample:
    return toy_jets(400, 2, prongs=3)


@pytest.fixture(scope="session")
def real_jets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """A few hundred real jets of the usual processes, simulated once per session."""
    pytest.importorskip("pythia8mc", reason="needs the extra 'simulation'")
    from qad.simulation import simulate_jets

    return {p: simulate_jets(p, 250, seed=11) for p in ("qcd", "top", "w", "z", "higgs_bb", "svj")}


@pytest.fixture(scope="session")
def published() -> Path:
    folder = Path(os.environ.get("QAD_PUBLISHED", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the published events are not at {folder}")
    return folder


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch,
               capsys: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """What a command prints, says on the side, and its exit code, without a process of its own."""
    from qad import cli

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["qad", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr()
        return subprocess.CompletedProcess(words, end.value.code, said.out, said.err)

    return run
