"""What the page, the API and the command line say of a sweep, computed from `db.reads.sweeps`."""
