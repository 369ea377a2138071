"""Server-sent events: one thread reads what changed, every listener hears of it."""
