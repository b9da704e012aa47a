"""One reward from every kind of answer: what each says of steps (`evidence`), and the model fitted to all of it."""
