"""Claims about what goes wrong: nothing is lost, nothing is done twice."""
