"""Records of trainings that never were, for tests of what is said about them."""


def make_record(variant="PODS 500", returns=(-20.0, -12.0, -10.0), seconds=(0.0, 1.0, 2.0), seed=0, **final):
    """A training of three looks; final: of its evaluation."""
    count = len(returns)
    quantities = ("return", "terminal_kinetic_energy", "terminal_distance", "action_magnitude")
    series = {name: [1.0] * count for name in quantities} | {f"{name}_std": [0.5] * count for name in quantities}
    return {
        "variant": variant,
        "environment": "pendulum_2d",
        "task": "stop",
        "seed": seed,
        "epoch": list(range(count)),
        **series,
        "return": list(returns),
        "steps": [100 * index for index in range(count)],
        "seconds": list(seconds),
        "compile_seconds": 5.0,
        "train_seconds": seconds[-1],
        "final": {"return_mean": returns[-1], "optimum_mean": -9.0, "optimality_gap": 0.1} | final,
    }
