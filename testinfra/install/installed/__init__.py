"""What happens to a host on which the package is installed, upgraded, downgraded, removed and purged."""
