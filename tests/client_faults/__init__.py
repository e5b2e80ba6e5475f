"""Faults × clients: what a client must do where a server or a connection fails.

``python -m tests.client_faults`` prints the table; with ``--full`` every byte is cut.
"""
