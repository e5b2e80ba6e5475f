"""Bridges to frameworks that run agents or jobs; each is a module that you import."""
