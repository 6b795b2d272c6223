"""The stream classes, one module each; users import them from `penstock.datastream`."""
