"""What the README's figures come from: ``make bench``, or ``python -m benchmarks --help``.

Everything is measured in one run, side by side with what it is compared to and interleaved with
it, on loopback, against a host started as ``condarium serve`` starts it. CPU seconds are those of
the web process with all its threads, never of the client; wall times are shown for what they are.
"""
