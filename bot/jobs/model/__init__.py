"""Information about the models, also before they are loaded, and jobs that wait for a model."""
