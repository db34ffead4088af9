"""CSV files: ours, those of RealAIGym, and damaged ones."""

import gzip

import numpy as np
import pytest

from pods_jax import envs
from pods_jax.checks import InputError
from pods_jax.identification import make_recording, read_recording, write_recording

HEADER = "time,action[0],angle[0],velocity[0]\n"
REAL = (
    "time,pos_meas1,pos_meas2,vel_meas1,vel_meas2,pos_filt1,pos_filt2,vel_filt1,vel_filt2,tau_con1,tau_con2,"
    "tau_fric1,tau_fric2,tau_meas1,tau_meas2\n"
)


@pytest.fixture(scope="module")
def env():
    return envs.make("acrobot")


def rows(count):
    return "".join(f"{0.01 * k},{0.1 * k},{0.2 * k},20\n" for k in range(count))


@pytest.mark.parametrize("name", ["swing.csv", "swing.csv.gz"])
def test_what_was_written_is_read_to_the_last_digit(env, tmp_path, name):
    rng = np.random.default_rng(0)
    written = make_recording(
        np.cumsum(rng.uniform(size=20)), rng.normal(size=(20, 1)), {"angle": rng.normal(size=(20, 2))}
    )
    write_recording(tmp_path / name, written)
    found = read_recording(tmp_path / name, env)
    np.testing.assert_array_equal(found.time, written.time)
    np.testing.assert_array_equal(found.action, written.action)
    for key in ("angle[0]", "angle[1]"):
        np.testing.assert_array_equal(found.measured[key], written.measured[key])
    assert set(found.measured) == set(written.measured)
    with pytest.raises(FileExistsError):
        write_recording(tmp_path / name, written)


@pytest.mark.parametrize("more", ["", "tau_des1,pos_des1"])
def test_files_of_realaigym_are_read_as_they_are(tmp_path, more):
    names = REAL.strip().split(",")
    extra = more.split(",") if more else []
    table = np.arange(5.0)[:, None] + 0.01 * np.arange(len(names) + len(extra))[None]
    path = tmp_path / "20230629-143339.csv.gz"
    text = ",".join(names + extra) + "\n" + "".join(",".join(f"{v:.18e}" for v in row) + "\n" for row in table)
    path.write_bytes(gzip.compress(text.encode()))
    env = envs.make("double_pendulum")
    found = read_recording(path, env)
    np.testing.assert_allclose(found.action, table[:, [13, 14]])
    np.testing.assert_allclose(found.measured["angle[1]"], table[:, 2])
    np.testing.assert_allclose(found.measured["velocity[0]"], table[:, 3])
    commanded = read_recording(path, env, {"action[0]": "tau_con1", "action[1]": "tau_con2"})
    np.testing.assert_allclose(commanded.action, table[:, [9, 10]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no samples"),
        (HEADER, "has no samples"),
        (HEADER + rows(3) + "0.03,1,x,1\n", "line 5, column angle[0] = 'x': must be a number"),
        (HEADER + rows(3) + "0.03,1\n", "line 5 has 2 cells: must have 4"),
        (HEADER + rows(3) + "0.03,1,,1\n", "angle[0] is nan at sample 3"),
        ("time,angle[0]\n0,1\n1,2\n2,3\n", "has no column action[0]"),
        ("time,action[0],angle[0],angle[0]\n0,1,1,1\n", "column = 'angle[0]': must stand there once"),
        ("time,action[0],other\n0,1,1\n1,1,1\n2,1,1\n", "has no measured column"),
    ],
)
def test_damaged_files_are_refused_with_line_and_column(env, tmp_path, text, message):
    path = tmp_path / "swing.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_recording(path, env)
    assert message in str(caught.value)
    assert "swing.csv" in str(caught.value)


def test_what_is_no_text_is_refused_and_what_is_not_there_is_an_os_error(env, tmp_path):
    path = tmp_path / "swing.csv.gz"
    path.write_bytes(gzip.compress(HEADER.encode() * 100)[:30])
    with pytest.raises(InputError, match=r"is no CSV file"):
        read_recording(path, env)
    with pytest.raises(FileNotFoundError):
        read_recording(tmp_path / "nothing.csv", env)
    path.write_bytes((HEADER + rows(4)).encode())
    with pytest.raises(InputError, match=r"column = 'pos': must be one of time"):
        read_recording(path, env, {"angle[0]": "pos"})
    with pytest.raises(InputError, match=r"did you mean 'angle\[0\]'"):
        read_recording(path, env, {"angel[0]": "angle[0]"})
