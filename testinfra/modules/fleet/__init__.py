"""The ways in which a fleet brings its hosts to a document."""
