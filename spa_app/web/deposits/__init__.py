"""Money taken for a visit before it takes place."""
