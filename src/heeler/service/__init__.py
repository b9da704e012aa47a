"""The web console, the REST API and the OpenAI-compatible chat. No torch. Empty so far."""
