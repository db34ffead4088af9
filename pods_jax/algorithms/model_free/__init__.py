"""Algorithms that see returns only: PPO and SAC."""
