"""One training in one folder, from its configuration to what it leaves for others."""
