"""What happens by the clock: ticks that enqueue due work, and no state of their own."""
