"""The flows: when things happen. What is to happen is decided by the engine."""
