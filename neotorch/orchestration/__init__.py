"""The one adapter to Prefect: server, worker, dispatcher, reconciler, deployments."""
