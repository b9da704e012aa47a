"""Whether what a run learned is what people said: `heeler honesty`."""
