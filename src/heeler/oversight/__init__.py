"""Monitors, overseers, interventions, gates, releases and rollback, and the audit log. Empty so far."""
