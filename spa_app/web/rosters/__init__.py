"""The roster: who works when, week by week, and who is away."""
