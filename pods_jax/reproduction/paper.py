"""Numbers of the paper."""

TABLE_1: dict[tuple[str, str], dict[str, tuple[float, float]]] = {
    ("pendulum_2d", "stop"): {
        "PODS 500": (-17, 0.11),
        "PODS 4000": (-18, 0.15),
        "SAC": (-20, 4.8),
        "PPO": (-48, 1.1),
        "GPS": (-37, 0.6),
    },
    ("pendulum_3d", "stop"): {
        "PODS 500": (-39, 0.22),
        "PODS 4000": (-44, 0.23),
        "SAC": (-45, 4.9),
        "PPO": (-199, 1.1),
        "GPS": (-193, 1.07),
    },
    ("double_pendulum_3d", "stop"): {
        "PODS 500": (-180, 0.74),
        "PODS 4000": (-185, 0.57),
        "SAC": (-213, 10.9),
        "PPO": (-470, 2.9),
        "GPS": (-365, 2.2),
    },
    ("pendulum_2d", "stop_at_origin"): {
        "PODS 500": (-183, 0.11),
        "PODS 4000": (-184, 0.75),
        "SAC": (-191, 4.8),
        "PPO": (-395, 1.2),
        "GPS": (-218, 0.6),
    },
    ("pendulum_3d", "stop_at_origin"): {
        "PODS 500": (-291, 0.2),
        "PODS 4000": (-331, 0.24),
        "SAC": (-315, 4.9),
        "PPO": (-997, 1.2),
        "GPS": (-546, 0.8),
    },
    ("double_pendulum_3d", "stop_at_origin"): {
        "PODS 500": (-732, 1.01),
        "PODS 4000": (-737, 0.99),
        "SAC": (-836, 9.7),
        "PPO": (-2310, 2.9),
        "GPS": (-845, 2.9),
    },
    ("payload_2d", "stop_at_origin"): {
        "PODS 500": (-13, 0.7),
        "PODS 4000": (-11, 0.5),
        "SAC": (-14, 8.2),
        "PPO": (-50, 2.5),
        "GPS": (-13, 4.4),
    },
    ("rope_3d", "stop_at_origin"): {
        "PODS 500": (-3023, 1.77),
        "PODS 4000": (-2928, 1.34),
        "SAC": (-3030, 13.6),
        "PPO": (-7730, 3.4),
        "GPS": (-2975, 6.4),
    },
}
"""Reward and hours of its table 1; it does not say which task the payload and the rope have."""
