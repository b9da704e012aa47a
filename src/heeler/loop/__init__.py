"""The only place that knows the order: act, show, answer, reward, learn, check, release."""
