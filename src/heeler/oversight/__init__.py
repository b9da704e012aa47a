"""Who checks what learns: the gate before a release, and the watch over learning. Shares no code with learners."""
