"""Measures how fast everything is, beside the textbook form of the same mathematics.

python scripts/benchmark.py --suites=textbook,horizon,batch,points --out=benchmark.json
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from pods_jax import checks, envs
from pods_jax.benchmarks import cases, measure, report
from pods_jax.commands import command_line
from pods_jax.devices import cpu, sharding
from pods_jax.visual import figures


def main(argv: Sequence[str]) -> int:
    """Parses the command line, measures, writes the records, and returns the exit status."""
    values = flags.FlagValues()
    suites = flags.DEFINE_list("suites", ["smoke"], f"Some of {', '.join(cases.suites())}.", flag_values=values)
    environments = flags.DEFINE_list(
        "environments",
        list(cases.PENDULUMS_AND_ROPE[:1]),
        "Those of the suites batch and horizon.",
        flag_values=values,
    )
    out = flags.DEFINE_string("out", "benchmark.json", "Records; .md and .png beside.", flag_values=values)
    num_devices = flags.DEFINE_integer(
        "num_devices", 1, "Measure also so many devices together, without a GPU cores; 0: all.", flag_values=values
    )
    budget = flags.DEFINE_float("budget", 10.0, "Seconds that the runs of a case may take.", flag_values=values)

    def command() -> None:
        for name in environments.value:
            checks.choice("environments", name, envs.names())
        devices = sharding.choose(num_devices.value)
        known = cases.suites(environments.value)
        chosen = [case for name in suites.value for case in known[checks.choice("suites", name, known)]]
        limits, path, records = measure.limits(), pathlib.Path(out.value), []
        choices = f"--suites={','.join(suites.value)} --environments={','.join(environments.value)}"
        choices += f" --num_devices={num_devices.value}" if len(devices) > 1 else ""
        for record in cases.records(chosen, limits, budget.value, devices):
            print(" | ".join(report.row(record)), flush=True)
            records.append(record)
            report.write(path, records, limits, f"python scripts/benchmark.py {choices}")
        figures.save(report.figure(records), path.with_suffix(".png"), dpi=120)

    return command_line.run(
        command, values, argv, about=str(__doc__), connect=lambda: cpu.as_devices(num_devices.value)
    )
