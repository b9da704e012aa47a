"""A run's feedback as files, in heeler's own format and in those of other programs.

`jsonl` holds all of it and gives an equal store; the other formats hold the kinds of feedback that they have a place for,
and `left_out` says what they had none for.
"""
