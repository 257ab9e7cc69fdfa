"""What RQ runs: ids in, one service call."""
