"""Trials of one architecture that differ in numbers alone, trained together as one program."""
