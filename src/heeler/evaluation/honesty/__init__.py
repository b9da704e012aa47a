"""Whether a learned reward says what people say: statistics on plain arrays."""
