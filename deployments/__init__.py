"""How it runs: deployments and automations as data."""
