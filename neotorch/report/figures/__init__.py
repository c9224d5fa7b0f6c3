"""Every figure of the report, as a pure function of a TrialAnalysis that gives an SVG or a sentence why there is none."""
