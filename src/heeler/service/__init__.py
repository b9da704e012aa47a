"""The web service: accounts, the REST API under `/api/v1`, its client, and the place of the console. No torch here."""
