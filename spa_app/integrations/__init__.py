"""One port for each outside system, with a recording twin for development."""
