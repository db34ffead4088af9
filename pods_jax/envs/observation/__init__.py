"""Environments of which a policy sees less than the state: sensors, a camera, history, delay and noise."""
