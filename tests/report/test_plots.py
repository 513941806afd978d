"""Static pictures are written, and only where pictures can be."""

from pathlib import Path

import pytest

from qad.errors import InputError
from qad.report import portraits
from qad.report.files import write_file, write_picture
from qad.report.plots import check_picture, cost_curves, races


def test_pictures_are_written(tmp_path):
    points = [{"qubits": n, "pass": 0.1 * n, "gradient": 0.01 * n, "step": 0.2 * n} for n in (4, 6)]
    cost_curves({"qubits": points, "events": [{**p, "events": 10**p["qubits"]} for p in points]}, tmp_path / "cost.png")
    run = {"loss": [0.5, 0.2, 0.1], "seconds": [0.1, 0.2, 0.3]}
    races({"a circuit": {"races": {"adam": [run, run]}, "target": 0.2, "ceiling": 0.05}}, tmp_path / "races.svg")
    assert (tmp_path / "cost.png").stat().st_size > 5000 and (tmp_path / "races.svg").read_text().startswith("<?xml")


def test_elsewhere_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.png"):
        check_picture(tmp_path / "cost.txt")
    with pytest.raises(InputError, match="is not there"):
        check_picture(tmp_path / "no" / "cost.png")


def test_a_kill_leaves_the_old_picture_or_the_new_one(tmp_path, monkeypatch):
    """What is half drawn stands nowhere, and what was there before stays."""
    from matplotlib.figure import Figure

    out, seen = tmp_path / "old.pdf", []
    out.write_text("old")

    def killed(figure, target, **options):
        if hasattr(target, "write"):
            target.write(b"half")
        else:
            Path(target).write_bytes(b"half")
        seen.append(out.read_text())
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", killed)
    for write in (lambda: portraits.save(Figure(), out), lambda: write_picture(Figure(), out),
                  lambda: cost_curves({"qubits": [{"qubits": 4, "pass": 1, "gradient": 1, "step": 1}]}, out)):
        with pytest.raises(KeyboardInterrupt):
            write()
    assert seen == ["old"] * 3 and [p.name for p in tmp_path.iterdir()] == ["old.pdf"]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"cannot write .*nodir/x.tex: the folder .*nodir is not there; make it"):
        write_file(tmp_path / "nodir/x.tex", "")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*folder: Is a directory"):
        write_file(tmp_path / "folder", "")
