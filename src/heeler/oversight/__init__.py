"""Monitors, overseers, interventions, gates, releases and rollback. Empty so far."""
