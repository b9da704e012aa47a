"""Acting: the collector for worlds, the sampler for text, and the engines that serve it."""
