"""Analysis datasets after CDISC ADaM (ADaMIG 1.3): ADSL, ADRS, ADTTE, ADAE, ADEX, written for other programs to analyse."""
