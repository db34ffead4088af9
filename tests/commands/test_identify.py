"""`pods-identify`: from CSV files to a folder of results, and nothing overwritten."""

import json

import jax
import pytest

from pods_jax import envs, identification
from scripts import identify
from tests.identification.synthetic import recordings

SETTINGS = "--settings=horizon=20,substeps=1,damping_1=0.05,damping_2=0.03,initial_angle=1.0"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    env = envs.make("acrobot", horizon=20, substeps=1, damping_1=0.05, damping_2=0.03, initial_angle=1.0)
    recorded, _ = recordings(env, jax.random.key(0), count=3, effort=0.1)
    for number, each in enumerate(recorded):
        identification.write_recording(folder / f"swing-{number}.csv", each)
    return folder


@pytest.fixture
def run(capsys):
    def call(*arguments):
        status = identify.main(["scripts/identify.py", *arguments])
        return status, capsys.readouterr()

    return call


@pytest.mark.slow
def test_it_writes_what_it_found_and_ends_with_one_json_object(run, files, tmp_path):
    out = tmp_path / "found"
    asked = ("--env=acrobot", SETTINGS, f"--recordings={files}/swing-[01].csv", f"--held_out={files}/swing-2.csv")
    status, written = run(*asked, "--parameters=mass[0]=0.6,damping", "--bounds=mass[0]=0.1:2", f"--out={out}")
    assert (status, written.err) == (0, "")
    found = json.loads(written.out.splitlines()[-1])
    assert abs(found["estimate"]["mass[0]"] - 0.52346) < 0.03
    assert found["num_held_out"] == 1
    assert json.loads((out / "identified.json").read_text(encoding="utf-8")) == found
    assert (out / "identified.png").stat().st_size > 10_000
    assert "95 % interval" in written.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "env = '': must be one of pendulum_2d"),
        (("--env=acrobat",), "env.name = 'acrobat': did you mean 'acrobot'?"),
        (("--env=acrobot", "--settings=damping_1"), "settings = 'damping_1': must be name=value"),
        (("--env=acrobot", "--settings=dampin_1=0.1"), "did you mean 'damping_1'?"),
        (("--env=acrobot", "--settings=damping_1=much"), "settings damping_1 = 'much': must be a number"),
        (
            ("--env=acrobot", "--recordings=nothing-*.csv"),
            "recordings = 'nothing-*.csv': must match at least one file",
        ),
        (("--env=acrobot",), "parameters = []: must name at least one"),
        (("--env=acrobot", "--parameters=mas"), "did you mean 'mass'?"),
        (
            ("--env=acrobot", "--parameters=mass", "--bounds=mass[0]=3"),
            "must be two numbers with a colon between them",
        ),
        (("--env=acrobot", "--parameters=mass"), "recordings = []: must be at least one recording"),
    ],
)
def test_wrong_command_lines_are_refused(run, arguments, message):
    status, written = run(*arguments)
    assert status == 2
    assert message in written.err
    assert "Traceback" not in written.err


def test_a_file_that_is_missing_is_an_input_error_of_its_own(run):
    status, written = run("--env=acrobot", "--recordings=nothing.csv", "--parameters=mass")
    assert status == 5
    assert "nothing.csv" in written.err


@pytest.mark.slow
def test_nothing_is_overwritten(run, files):
    before = sorted(path.name for path in files.iterdir())
    status, written = run("--env=acrobot", f"--recordings={files}/swing-0.csv", "--parameters=mass", f"--out={files}")
    assert status == 2
    assert "must be a folder that does not exist yet" in written.err
    assert sorted(path.name for path in files.iterdir()) == before
