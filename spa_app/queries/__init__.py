"""Every read that shows on a screen, as frozen rows in an explicit order and a bounded number of statements."""
