"""Limits on text before it is read or leaves: what a guard looks for, and what becomes of what it finds."""
