"""What people type, read: the options of the commands, and the LoRAs that they name."""
