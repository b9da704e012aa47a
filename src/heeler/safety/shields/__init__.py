"""What is not in the safe set is not done: masks, projections, a safety critic, a model check, and a fallback."""
