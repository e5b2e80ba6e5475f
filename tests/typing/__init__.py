"""What type checkers say of the public names; see ``tox run -e typing``."""
