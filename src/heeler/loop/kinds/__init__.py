"""A reward from every kind of answer: what is asked of whom (`choosing`), what came of it (`listening`, `rewarding`),
and the part of a run that does all of it (`kinds_loop`)."""
