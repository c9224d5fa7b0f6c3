"""The report of a trial at a cut: one HTML page, and a PDF of it. Pure but for `gather` (asks the engine) and `write`."""
