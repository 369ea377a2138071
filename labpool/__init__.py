"""What people install: specs, the catalog reader, search, the client and the command line."""

__version__ = "0.1.0"
