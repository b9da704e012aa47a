"""From feedback to reward."""
