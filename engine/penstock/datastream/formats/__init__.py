"""Formats of files, under the module paths that PyFlink has for them."""
