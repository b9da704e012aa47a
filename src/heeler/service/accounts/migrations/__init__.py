"""Alembic's folder for people.db."""
