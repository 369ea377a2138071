"""The worker: slots that claim trials, and the runner process that carries them out."""
