"""What moderators do with other people's jobs and images, and what members tell them."""
