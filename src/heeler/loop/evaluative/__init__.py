"""Runs that learn from good and bad, said while the agent acts."""
