"""Static pictures are written, and only where pictures can be."""

import pytest

from qad.errors import InputError
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
