"""The loop of a language model: sample, ask, answer, reward, learn, watch, gate, release."""
