"""How fast everything is, beside the textbook form of the same mathematics and beside the limit of the machine."""
