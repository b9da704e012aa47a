"""Overseers: agents that look at what another agent is about to do, each by a charge of its own, and decide together."""
