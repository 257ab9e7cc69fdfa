"""Finding, adding and keeping customers."""
