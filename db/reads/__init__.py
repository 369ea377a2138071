"""What the API and its pages read, one resource a module. Nothing here writes."""
