"""The day calendar."""
