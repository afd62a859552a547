"""What must survive a restart: jobs, pictures, quotas, preferences and the settings of servers."""
