"""Exceptions and markers under the names PyFlink gives them."""
