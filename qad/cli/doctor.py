"""Is everything installed, and what to type if it is not."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check the installation and say what to do.

    Example:  qad doctor
    """
    from importlib.metadata import PackageNotFoundError, version

    needed = {"": ("numpy", "scipy", "scikit-learn", "numba", "torch", "h5py", "pennylane", "qiskit", "qiskit-aer"),
              "simulation": ("pythia8mc", "fastjet", "awkward", "vector"), "ibm": ("qiskit-ibm-runtime",)}
    healthy = True
    for extra, packages in needed.items():
        for package in packages:
            try:
                print(f"ok       {package} {version(package)}")
            except PackageNotFoundError:
                healthy = healthy and bool(extra)
                name = f"qad-hep[{extra}]" if extra else "qad-hep"
                print(f"missing  {package}: type  pip install '{name}'")
    import torch

    gpu = f"ok       GPU {torch.cuda.get_device_name()}" if torch.cuda.is_available() else None
    print(gpu or "note     no GPU: everything runs on the CPU")
    if healthy:
        from qad.quantum.backends.account import present

        where = present()
        print(f"ok       IBM account in {where}" if where else
              "note     no IBM account: snapshots (fake_torino) need none; to save one: QiskitRuntimeService.save_account")
    if not healthy:
        raise typer.Exit(1)
