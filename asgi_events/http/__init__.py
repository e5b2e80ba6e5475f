"""The only code that speaks ASGI."""
