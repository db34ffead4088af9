"""Robots whose steps are explicit: links, rotors and legs, apart from the tasks that they are given."""
