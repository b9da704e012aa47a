"""Language models that learn from what is stored: demonstrations, pairs and judged answers."""
