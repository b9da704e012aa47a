"""Acting: the collector for worlds."""
