"""People: what to ask them, where their answers are kept, and simulated people with known faults. No torch."""
