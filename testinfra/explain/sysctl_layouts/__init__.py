"""Generated layouts of sysctl.d files, what the programs make of them, and what netkeel says they make of them."""
