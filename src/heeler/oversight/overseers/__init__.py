"""Overseers: agents that look at what another agent is about to do, each by its own charge, and decide together."""
