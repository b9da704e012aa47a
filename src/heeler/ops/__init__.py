"""Pure mathematics on tensors: no state, no I/O, no configuration."""
