"""How labpool's processes are started, watched and stopped on one machine."""
