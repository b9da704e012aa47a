"""Causal language models, of any architecture that transformers loads."""
