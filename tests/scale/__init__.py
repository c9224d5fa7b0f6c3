"""The whole of compose.yaml, from plain processes, under kill -9."""
