"""One module for each framework that can not return a bare ASGI application."""
