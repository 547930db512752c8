"""How it is run: the command line, the rules of the workflow, and the warm process that runs fork from."""
