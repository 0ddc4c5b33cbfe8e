"""What the service is put through in a guest of the lab."""
