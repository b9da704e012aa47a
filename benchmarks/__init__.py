"""Every figure that the README quotes has its command here: `python -m benchmarks NAME`."""
