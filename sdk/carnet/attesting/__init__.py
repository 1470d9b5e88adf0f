"""From what a test run, a scan or a review wrote to the in-toto statement that is signed; nothing is sent."""
