"""Inverse reinforcement learning: from what people do, or choose, to the reward that would have them do it.

Everything here is exact and in tables: worlds of finitely many states and actions whose transitions are known.
"""
