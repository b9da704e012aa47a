"""Figures as people read them."""

OWN_MEANS = frozenset(
    (
        "true_return_mean",
        "episode_length_mean",
        "true_reward_mean",
        "predicted_reward_mean",
        "learned_reward_mean",
        "log_density_mean",
    )
)
"""Means in `metrics.jsonl` that every run has; any other mean is something that the world counts in an episode."""


def number(value: float) -> str:
    """Three significant digits, thousands marked.

    >>> number(1234.5), number(4.25), number(-0.0123)
    ('1,234', '4.25', '−0.0123')
    """
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(8.4), duration(75), duration(7322)
    ('8 s', '1 min 15 s', '2 h 2 min')
    """
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
