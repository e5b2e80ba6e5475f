"""Executions in the protocols that front ends speak."""
