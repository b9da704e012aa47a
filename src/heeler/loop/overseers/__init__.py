"""Overseers of a run and of a chat, and the game in which overseers and an attacker learn against each other."""
