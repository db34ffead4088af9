"""What a benchmark leaves: records as JSON, a table, a figure."""

import datetime
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
from matplotlib.figure import Figure

from pods_jax.storage import files, manifest

COLUMNS = (
    "environment",
    "quantity",
    "batch",
    "horizon",
    "form",
    "time",
    "steps/s",
    "faster",
    "of limit",
    "compile",
    "memory",
)


def write(path: pathlib.Path, records: Sequence[dict[str, Any]], limits: dict[str, float], command: str) -> None:
    """Writes `path` (JSON) and, beside it, the table (.md)."""
    book = {
        "date": datetime.date.today().isoformat(),
        "command": command,
        "versions": manifest.versions(),
        **manifest.machine(),
        "cores": os.cpu_count(),
        "limits": limits,
        "records": list(records),
    }
    files.write_json(path, book)
    files.write_text(path.with_suffix(".md"), markdown(book))


def markdown(book: dict[str, Any]) -> str:
    """A table of the records, with what they were measured on."""
    limits = book["limits"]
    lines = [
        f"`{book['command']}`, {book['date']}, {book['cores']} cores of {book['device']}, jax {book['jax']}.",
        f"Limits of the machine: {limits['operations_per_second'] / 1e9:.1f} Gflop/s, of vectors "
        f"{limits['vector_operations_per_second'] / 1e9:.1f} Gflop/s, "
        f"{limits['bytes_per_second'] / 1e9:.1f} GB/s.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
    ]
    return "\n".join([*lines, *("| " + " | ".join(row(record)) + " |" for record in book["records"])]) + "\n"


def row(record: dict[str, Any]) -> tuple[str, ...]:
    """One line of the table."""
    settings = "".join(f", {name} {value}" for name, value in record["settings"])
    faster = f"{record['times_faster']:.1f} x" if record["times_faster"] else ""
    return (
        record["environment"] + settings,
        record["quantity"],
        str(record["batch"]),
        str(record["horizon"]),
        record["form"],
        f"{1e3 * record['seconds']:.2f} ms ({1e3 * record['fastest']:.2f} .. {1e3 * record['slowest']:.2f})",
        f"{record['steps_per_second']:.2e}",
        faster,
        f"{100 * record['fraction_of_limit']:.2g} %" if record["fraction_of_limit"] else "",
        f"{record['compile_seconds']:.1f} s",
        f"{record['memory'] / 1e6:.0f} MB",
    )


def figure(records: Sequence[dict[str, Any]]) -> Figure:
    """Steps per second of each case, one bar each."""
    result = Figure(figsize=(9, 0.9 + 0.28 * len(records)), layout="constrained")
    axes = result.subplots()
    labels = [" ".join((*row(record)[:2], f"k={record['batch']}", f"T={record['horizon']}")) for record in records]
    colors = ["C0" if record["form"].startswith("pods_jax") else "C1" for record in records]
    axes.barh(range(len(records)), [record["steps_per_second"] for record in records], color=colors)
    axes.set_yticks(range(len(records)), labels, fontsize=7)
    axes.margins(y=0.01)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="time steps per second (blue: pods_jax, orange: what it is compared with)")
    axes.set_title(f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    return result
