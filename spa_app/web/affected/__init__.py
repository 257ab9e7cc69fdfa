"""A therapist is absent, a room is closed: the visits that need somebody else."""
