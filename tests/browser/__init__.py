"""The lessons and their front ends in a real browser."""
