"""One module for each framework that does not return ASGI applications itself."""
