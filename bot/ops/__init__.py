"""Operation: settings, logs, metrics, health checks, retention and shutdown."""
