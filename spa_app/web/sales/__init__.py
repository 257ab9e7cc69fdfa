"""Bills that the desk makes: a sale over the counter, an unpaid bill that is changed, what goes with a visit."""
