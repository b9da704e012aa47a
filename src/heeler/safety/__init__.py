"""Limits on behaviour before it happens: costs with budgets, shields and text guards. Empty so far."""
