"""What is toxic in a text: a word list that sees through disguises, and a small classifier that was trained for it."""
