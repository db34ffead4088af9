"""Rollouts divided among devices; everything else is the same on each of them.

`with on(devices):` around the tracing of a program makes `shard_map_rollouts` give each device its share of the
rollouts, with loops of its own, so that no device waits for another's slowest step. Outside of it nothing is divided.
What comes back is copied to all of them where it is needed as a whole (`replicate`), minibatches are divided again
(`constrain_sharded`), and so are the sums over them.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.sharding import PartitionSpec

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.devices.host import restore_like, to_host

AXIS = "rollouts"


def choose(num_devices: int) -> list[jax.Device]:
    """The first so many devices of each process; 0 takes all. Raises InputError if there are not so many."""
    num_devices = checks.integer("num_devices", num_devices, at_least=0, at_most=len(jax.local_devices()))
    each = num_devices or len(jax.local_devices())
    of_process = [
        [device for device in jax.devices() if device.process_index == i] for i in range(jax.process_count())
    ]
    return [device for devices in of_process for device in devices[:each]]


@contextlib.contextmanager
def on(devices: Sequence[jax.Device]) -> Iterator[None]:
    """Divides the rollouts of what is traced inside among these devices; with one device, nothing is divided."""
    if len(devices) < 2:
        yield
        return
    with jax.set_mesh(_mesh(devices)):
        yield


def num_devices() -> int:
    """Among how many devices rollouts are divided here; 1 inside of `shard_map_rollouts`, where they are already."""
    mesh = jax.sharding.get_abstract_mesh()
    return 1 if AXIS in mesh.manual_axes else int(mesh.shape.get(AXIS, 1))


def check(setting: str, count: int) -> None:
    """Raises InputError naming the setting if so many rollouts cannot be divided equally."""
    if count % num_devices():
        raise InputError(
            setting, count, f"must be a multiple of {num_devices()}, the number of devices that share rollouts"
        )


def shard_map_rollouts(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """(shared, rollouts) -> results, each device with its part of the rollouts, leaves (k, ...), and of results.

    Calls may be nested: what is divided already is not divided again. Raises InputError if k cannot be divided.
    """
    if num_devices() == 1:
        return function
    shares = PartitionSpec(AXIS)
    divided = jax.shard_map(function, in_specs=(PartitionSpec(), shares), out_specs=shares, check_vma=False)

    def checked(shared: Any, rollouts: Any) -> Any:
        check("number of rollouts", jax.tree.leaves(rollouts)[0].shape[0])
        return divided(shared, rollouts)

    return checked


def constrain_sharded(tree: Any) -> Any:
    """The same, each device with its part of the first axis of each leaf, where that can be divided."""
    count = num_devices()
    if count == 1 or any(leaf.shape[0] % count for leaf in jax.tree.leaves(tree)):
        return tree
    return jax.lax.with_sharding_constraint(tree, PartitionSpec(AXIS))


def put_sharded(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The same arrays (k, ...), an equal part of each on each of the devices, as `shard_map_rollouts` takes them."""
    if len(devices) < 2:
        return tree
    return jax.device_put(tree, jax.sharding.NamedSharding(_mesh(devices), PartitionSpec(AXIS)))


def put_replicated(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The same arrays on each of the devices; if these belong to several processes, each has the arrays already."""
    if len(devices) < 2:
        return tree
    return restore_like(tree, to_host(tree), _everywhere(devices))


def local(tree: Any) -> Any:
    """The arrays of this process, where others have copies of them."""
    return jax.tree.map(lambda leaf: leaf if leaf.is_fully_addressable else leaf.addressable_data(0), tree)


def shapes(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """The shapes of arrays that will be `copied` to these devices."""
    if len(devices) < 2:
        return tree
    place = _everywhere(devices)
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)


def _everywhere(devices: Sequence[jax.Device]) -> jax.sharding.NamedSharding:
    return jax.sharding.NamedSharding(_mesh(devices), PartitionSpec())


def _mesh(devices: Sequence[jax.Device]) -> jax.sharding.Mesh:
    return jax.make_mesh((len(devices),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices)


def replicate(tree: Any) -> Any:
    """The same, whole on each device."""
    return tree if num_devices() == 1 else jax.lax.with_sharding_constraint(tree, PartitionSpec())
