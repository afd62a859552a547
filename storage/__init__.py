"""The database: jobs, images, quotas, preferences and server settings, which must survive a restart."""
