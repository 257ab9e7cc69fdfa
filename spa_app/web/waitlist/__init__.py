"""The waitlist: who waits for a time, who fits where, and places held for them."""
