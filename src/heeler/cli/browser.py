"""Opening a browser where somebody sits who could look."""

import os
import sys
import webbrowser
from collections.abc import Callable


def open_browser(url: str, say: Callable[[str], None]) -> None:
    """Open a page where this machine has a display.

    Args:
        url: of the page.
        say: is told where it cannot be opened.
    """
    is_there = sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if not (is_there and webbrowser.open(url)):
        say("heeler: there is no display here that a browser could be opened on")
