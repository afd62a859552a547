"""What moderators can do about other people's jobs and images, and members' reports."""
