"""Factories and stand-ins that the test suites share."""
