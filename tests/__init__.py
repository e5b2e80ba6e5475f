"""The tests, laid out as the package is."""

TIMEOUT = 10.0  # seconds; a test that waits this long in its own process has failed
