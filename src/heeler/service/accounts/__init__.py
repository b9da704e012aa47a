"""People: who may sign in, their sessions, keys and consents. Kept apart from what they answer."""
