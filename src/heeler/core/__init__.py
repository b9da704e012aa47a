"""The nouns everybody shares, errors, seeding and the run directory. No torch."""
