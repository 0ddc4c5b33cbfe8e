"""The Wikimedia scenario: hosts whose pods answer what a load balancer sends them encapsulated."""
