"""Networks and what belongs to them: policies, values, reward networks, normalisation."""
