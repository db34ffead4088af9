"""Physical parameters of an environment from recordings of what the machine did."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from pods_jax import checks
from pods_jax.checks import InputError
from pods_jax.envs import parameters as named
from pods_jax.envs.environment import Environment
from pods_jax.envs.parameters import Parameters
from pods_jax.identification import (
    accuracy,
    least_squares,
    normal_equations,
    prediction,
    recording,
    uncertainty,
    windows,
)
from pods_jax.identification.recording import Recording
from pods_jax.identification.result import Identification, Parameter

INDEPENDENT = ("samples", "windows")
STARTS = ("estimated", "measured")


def identify(
    env: Environment | Callable[..., Environment],
    recordings: Sequence[Recording],
    parameters: Sequence[str] | Mapping[str, float],
    *,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    prior: Mapping[str, tuple[float, float]] | None = None,
    noise: Mapping[str, float] | None = None,
    window: float | None = None,
    stride: float | None = None,
    starts: str = "estimated",
    independent: str = "samples",
    held_out: Sequence[Recording] = (),
) -> Identification:
    """The values of physical parameters with which an environment predicts recordings best.

    Recordings are cut into windows; in each, the environment predicts what was measured from the state in which the
    window begins, under the recorded actions. The squares of the errors, each by the noise of its component, are
    minimised by damped Gauss-Newton steps within the bounds; see `least_squares`.

    env: an Environment, or a function of named values that returns one. parameters: names of numbers in
    `env.parameters`, see `envs.parameters`, with the values to begin with if it is a mapping; a mapping of
    the arguments, if env is a function. bounds: (lowest, highest) by name, where physics does not say it. prior:
    (mean, standard deviation) by name, what is known already. noise: standard deviations of measured components by
    name, in their units; those that are not given are estimated. window [s]: one episode if not given; one time step
    for one-step errors. stride [s]: between the starts of two windows, the window itself if not given. starts:
    "estimated" with the parameters (multiple shooting), or taken as "measured". independent: "samples", if errors
    are those of the sensors; "windows", if the model itself is wrong, so that errors within a window go together:
    confidence then comes from how the windows differ. held_out: recordings that are only predicted, to say how well.
    Raises InputError that names what is wrong with a recording, a parameter, a bound, and for recordings too short
    to identify anything.
    """
    checks.choice("starts", starts, STARTS)
    checks.choice("independent", independent, INDEPENDENT)
    table, before = _parameters(env, parameters, bounds or {}, prior or {})
    used, kept = ([recording.check(each, before) for each in group] for group in (recordings, held_out))
    if not used:
        raise InputError("recordings", [], "must be at least one recording, see `identification.read_recording`")
    duration = checks.number("window", before.horizon * before.time_step if window is None else window, above=0.0)
    apart = checks.number("stride", duration if stride is None else stride, above=0.0)
    cut = windows.cut(before, used, duration, apart, accuracy.rest(before))
    first_noise, given = _noise(before, used, noise or {})
    problem = _problem(table, cut, given, starts == "estimated", before.action_limit.dtype)
    _check_length(before, problem, len(table))
    base = before if isinstance(env, Environment) else None
    kind = _kind(env, [parameter.name for parameter in table])
    begin = jnp.asarray([parameter.start for parameter in table], before.action_limit.dtype)
    fit = least_squares.fit(kind, base, problem, begin, jnp.asarray(first_noise, begin.dtype))
    return _result(kind, base, before, table, problem, fit, independent, used, kept, duration)


def _kind(env: Environment | Callable[..., Environment], names: Sequence[str]) -> Parameters:
    """How an environment is made of values of these parameters."""
    return named.find(env, names) if isinstance(env, Environment) else Parameters(tuple(names), build=env)


def _parameters(
    env: Environment | Callable[..., Environment],
    wanted: Sequence[str] | Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    prior: Mapping[str, tuple[float, float]],
) -> tuple[list[Parameter], Environment]:
    """The parameters with what is known of them, and the environment with the values to begin with."""
    if isinstance(env, Environment):
        kind = named.find(env, list(wanted) if not isinstance(wanted, str) else wanted)
        values = kind.values(env)
        if isinstance(wanted, Mapping):
            env = named.replaced(env, wanted)
            values = kind.values(env)
    elif isinstance(wanted, Mapping) and wanted:
        kind = Parameters(tuple(wanted), build=env)
        values = np.asarray(list(named.check_values("parameters", wanted).values()))
        env = kind.environment(None, jnp.asarray(values, float))
    else:
        raise InputError("parameters", wanted, 'must be values to begin with, such as {"mass": 1.0}, for a function')
    for what, given in (("bounds", bounds), ("prior", prior)):
        for name in given:
            checks.choice(f"{what}[...]", name, kind.names)
    return [_parameter(env, name, value, bounds, prior) for name, value in zip(kind.names, values, strict=True)], env


def _parameter(
    env: Environment, name: str, value: float, bounds: Mapping[str, Any], prior: Mapping[str, Any]
) -> Parameter:
    value = checks.number(f"parameters[{name!r}]", float(value))
    lower, upper = named.bounds_of(env, name)
    if name in bounds:
        lower, upper = _pair(f"bounds[{name!r}]", bounds[name])
        if not lower < upper:
            raise InputError(f"bounds[{name!r}]", bounds[name], "must be two numbers, the first below the second")
    if not lower <= value <= upper:
        raise InputError(
            f"parameters[{name!r}]", value, f"must be within its bounds, {lower:g} to {upper:g}, to begin with"
        )
    mean, deviation = _pair(f"prior[{name!r}]", prior[name]) if name in prior else (0.0, np.inf)
    if not deviation > 0:
        raise InputError(f"prior[{name!r}]", prior[name], "must be a mean and a standard deviation above zero")
    return Parameter(name, named.unit_of(env, name), value, lower, upper, mean, deviation)


def _pair(name: str, value: Any) -> tuple[float, float]:
    try:
        first, second = (float(each) for each in value)
    except (TypeError, ValueError) as error:
        raise InputError(name, value, "must be two numbers") from error
    if np.isnan(first) or np.isnan(second):
        raise InputError(name, value, "must be two numbers")
    return first, second


def _noise(env: Environment, used: Sequence[Recording], given: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the noise of each component to begin with, and whether it was given."""
    names = recording.components(env)
    measured = {name for each in used for name in each.measured}
    for name in given:
        checks.choice("noise[...]", name, measured)
    found = np.ones(len(names))
    for i, name in enumerate(names):
        values = [each.measured[name] for each in used if name in each.measured]
        if name in given:
            found[i] = checks.number(f"noise[{name!r}]", given[name], above=0.0)
        elif values:
            # The third differences of white noise have 20 times its variance, those of a smooth motion next to none.
            third = np.concatenate([np.diff(v, 3) for v in values])
            spread = np.std(np.concatenate(values))
            found[i] = (
                max(np.sqrt(np.mean(third**2) / 20), 1e-3 * spread, 1e-12) if len(third) else max(spread, 1e-12)
            )
    return found, np.asarray([name in given for name in names])


def _problem(
    table: Sequence[Parameter], cut: windows.Windows, given: np.ndarray, free_starts: bool, dtype: Any
) -> normal_equations.Problem:
    def column(values: Sequence[float]) -> Any:
        return jnp.asarray(values, dtype)

    return normal_equations.Problem(
        windows=cut,
        lower=column([parameter.lower for parameter in table]),
        upper=column([parameter.upper for parameter in table]),
        prior_mean=column([parameter.prior_mean for parameter in table]),
        prior_weight=column([1 / parameter.prior_deviation for parameter in table]),
        noise_known=jnp.asarray(given),
        free_starts=free_starts,
    )


def _check_length(env: Environment, problem: normal_equations.Problem, num_parameters: int) -> None:
    """Raises InputError where there are no more measured numbers than unknown ones."""
    known = np.asarray(problem.windows.known)
    numbers = int(np.sum(known if problem.free_starts else known[:, 1:]))
    unknown = num_parameters + (problem.windows.count * prediction.num_free(env) if problem.free_starts else 0)
    if numbers <= unknown:
        raise InputError(
            f"the recordings are too short to identify anything: they hold {numbers} measured numbers in "
            f"{problem.windows.count} windows for {unknown} unknown ones; record more, or take a longer window, or "
            'starts="measured"'
        )


def _result(
    kind: Parameters,
    base: Environment | None,
    before: Environment,
    table: list[Parameter],
    problem: normal_equations.Problem,
    fit: least_squares.Fit,
    independent: str,
    used: Sequence[Recording],
    kept: Sequence[Recording],
    duration: float,
) -> Identification:
    """What was found, as numbers of the host."""
    names = tuple(parameter.name for parameter in table)
    theta = np.asarray(fit.theta, float)
    if not np.all(np.isfinite(theta)) or not np.isfinite(float(fit.cost)):
        raise FloatingPointError(
            "the predictions are not finite: take a shorter window, or other values to begin with"
        )
    information = np.asarray(fit.information, float)
    scale = np.maximum.reduce(
        [np.abs(theta), [abs(parameter.start) for parameter in table], np.full(len(theta), 1e-12)]
    )
    scores = np.asarray(fit.scores, float) if independent == "windows" else None
    prior = np.diag([parameter.prior_deviation**-2.0 for parameter in table])
    known, left_open = uncertainty.directions(names, information, scale)
    after = kind.environment(base, fit.theta)
    judged = kept or used
    ahead = min([duration, *(each.duration for each in judged)])
    measured = [
        i for i, name in enumerate(recording.components(before)) if any(name in each.measured for each in used)
    ]
    return Identification(
        parameters=tuple(table),
        estimate=theta,
        covariance=uncertainty.covariance(information + prior, scores, scale),
        known=tuple(known),
        left_open=tuple(left_open),
        environment=after,
        noise={recording.components(before)[i]: float(fit.noise[i]) for i in measured},
        prediction_error=accuracy.prediction_error(after, judged, ahead, stride=ahead / 10),
        prediction_error_before=accuracy.prediction_error(before, judged, ahead, stride=ahead / 10),
        ahead=ahead,
        num_held_out=len(kept),
        problem=problem,
        fit=fit,
    )
