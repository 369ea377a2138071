"""The truth: tables, every change of a trial's state, the queue, the boards, the bell."""
