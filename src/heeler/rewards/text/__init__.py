"""Rewards of text: parts that each look at one thing, and how they are put together."""
