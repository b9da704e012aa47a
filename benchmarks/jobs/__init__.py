"""Heeler's side of the benchmarks: programs that a benchmark runs as a process of their own."""
