"""What is promised of the installed wheel, with the standard library only; run by `make test-wheel`.

It runs in an environment that holds the wheel without extras, from a folder without the sources.
"""

import contextlib
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BIN = pathlib.Path(sys.executable).parent
COMMANDS = ("pods-train", "pods-eval", "pods-render", "pods-plot", "pods-export", "pods-doctor")
TOOLS = ("pods-identify",)
TINY = [
    "--config.num_epochs=2",
    "--config.evaluate_every=1",
    "--config.num_test_rollouts=4",
    "--config.search_optimum=False",
    "--config.env.horizon=5",
    "--config.algorithm.batch_size=4",
    "--config.algorithm.guard.size=2",
    "--config.algorithm.regression.gradient_steps=2",
]
WITHOUT_DEVICES = """
import pods_jax
from jax._src import xla_bridge
assert not xla_bridge._backends, "importing used a device"
assert "site-packages" in pods_jax.__file__, pods_jax.__file__
"""


def run(*command: str, status: int = 0) -> str:
    """Runs a command and returns all that it wrote; ends this program unless it exits as it should."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    written = done.stdout + done.stderr
    if done.returncode != status:
        sys.exit(f"{' '.join(command)}: status {done.returncode}, should be {status}\n{written}")
    return written


def expect(condition: bool, message: str) -> None:
    """Ends this program with the message unless the condition holds; `assert` can be switched off."""
    if not condition:
        sys.exit(message)


def seconds(code: str) -> float:
    """Of running Python code in a process of its own, median of five."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        run(sys.executable, "-c", code)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Imports, helps, trains, evaluates and renders."""
    run(sys.executable, "-c", WITHOUT_DEVICES)
    for name in COMMANDS:
        expect("--workdir" in run(str(BIN / name), "--help"), f"{name} --help does not name --workdir")
    for name in TOOLS:
        expect("--recordings" in run(str(BIN / name), "--help"), f"{name} --help does not name --recordings")
    print(run(str(BIN / "pods-train"), "--workdir=run", *TINY))
    written = run(str(BIN / "pods-eval"), "--workdir=run", "--checkpoint=best")
    expect('"return_mean"' in written.splitlines()[-1], f"pods-eval ends with {written.splitlines()[-1]}")
    run(str(BIN / "pods-render"), "--workdir=run", "--out=page.html")
    expect(pathlib.Path("page.html").stat().st_size > 10_000, "page.html is empty")
    for command, extra in (
        (("pods-export", "--workdir=run", "--format=onnx", "--out=policy.onnx"), "onnx"),
        (("pods-train", "--workdir=other", "--config.algorithm.name=ppo"), "baselines"),
    ):
        written = run(str(BIN / command[0]), *command[1:], status=2)
        expect(
            f"pip install 'pods_jax[{extra}]'" in written, f"{' '.join(command)} does not name {extra}:\n{written}"
        )
    plain, ours = seconds("import jax, flax, optax"), seconds("import pods_jax")
    print(f"import pods_jax: {ours:.2f} s, import jax, flax, optax: {plain:.2f} s, ratio {ours / plain:.2f}")
    expect(ours < 1.5 * plain, "importing takes more than 1.5 times as long as what it needs")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        main()
