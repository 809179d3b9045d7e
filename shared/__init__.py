"""Everything the functions, the jobs and the command line share. Importing it does nothing."""
