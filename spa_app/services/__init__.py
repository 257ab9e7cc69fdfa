"""Every write, as verbs. Knows no Flask; takes plain values and an actor."""
