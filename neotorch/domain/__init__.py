"""What is: events, patient state, study definition, calendar, endpoint values. Pure; no clock, disk or network."""
