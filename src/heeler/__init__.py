"""Online alignment: agents that go on learning from people while they work, inside limits, under watch."""

__version__: str


def __getattr__(name: str) -> str:
    # To look it up takes a tenth of a second, which whoever wants to stop a run does not have.
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version("heeler")
