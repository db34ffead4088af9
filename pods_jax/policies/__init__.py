"""The policy: its network, what is asked of it, and its regression."""
