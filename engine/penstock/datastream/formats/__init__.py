"""Formats of files and messages, under the module paths that PyFlink has for them."""
