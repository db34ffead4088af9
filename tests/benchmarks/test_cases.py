import json
import subprocess
import sys

import pytest

from pods_jax.benchmarks import cases
from scripts import benchmark
from tests.faults.processes import environment

ON_TWO_DEVICES = """
import jax, numpy as np
from pods_jax.benchmarks import cases
from pods_jax.devices import sharding

case, limits = cases.Case("simulate", "pendulum_2d", 4, 3), {"operations_per_second": 1e9, "bytes_per_second": 1e9}
program = cases.simulate(case.make(), case.batch, "")[cases.OURS]
shared = cases.shared(program, case.quantity, jax.devices())
with sharding.on(shared.devices):
    found = jax.jit(shared.function)(*shared.args)
np.testing.assert_allclose(found, jax.jit(program.function)(*program.args), rtol=1e-12)
assert len(found.sharding.device_set) == 2
print(*(record["form"] for record in cases.records([case], limits, 0.1, jax.devices())), sep="; ")
"""


@pytest.mark.exhaustive
def test_the_smoke_suite_leaves_records_a_table_and_a_figure(tmp_path):
    out = tmp_path / "new" / "records.json"
    assert benchmark.main(["benchmark.py", "--suites=smoke", f"--out={out}", "--budget=0.1"]) == 0
    book = json.loads(out.read_text())
    assert {record["quantity"] for record in book["records"]} == set(cases.PROGRAMS)
    assert all(record["seconds"] > 0 and record["memory"] > 0 for record in book["records"])
    assert all(0 < record["fraction_of_limit"] < 1 for record in book["records"] if record["form"] == "pods_jax")
    assert book["limits"]["operations_per_second"] > 1e8
    assert len(out.with_suffix(".md").read_text().splitlines()) == 5 + len(book["records"])
    assert out.with_suffix(".png").stat().st_size > 1000


def test_an_unknown_suite_is_refused(tmp_path, capsys):
    assert benchmark.main(["benchmark.py", "--suites=smok", f"--out={tmp_path / 'x.json'}"]) == 2
    assert "smoke" in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_batches_and_horizons_are_of_the_environments_that_are_asked_for(tmp_path, capsys):
    known = cases.suites(["rope_3d", "cloth_3d"])
    assert {case.environment for name in ("batch", "horizon") for case in known[name]} == {"rope_3d", "cloth_3d"}
    assert benchmark.main(["benchmark.py", "--environments=rop_3d", f"--out={tmp_path / 'x.json'}"]) == 2
    assert "did you mean 'rope_3d'" in capsys.readouterr().err


@pytest.mark.slow
def test_every_case_is_one_that_can_be_made():
    for suite in cases.suites().values():
        for case in suite:
            assert case.quantity in cases.PROGRAMS
            assert case.make().horizon == case.horizon


@pytest.mark.exhaustive
def test_two_devices_are_measured_beside_one_and_find_the_same():
    command = [sys.executable, "-c", ON_TWO_DEVICES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, env=environment(num_devices=2))
    assert done.returncode == 0, done.stderr
    assert done.stdout == "pods_jax; pods_jax, 2 devices\n"
