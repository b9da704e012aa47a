"""Is it good: returns of a policy on fresh episodes."""
