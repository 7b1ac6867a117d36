"""What every function of the platform shares."""
