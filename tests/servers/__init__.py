"""Real servers for the tests: each on a free loopback port, with its data in a given folder, failing on demand."""
