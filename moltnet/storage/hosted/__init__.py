"""One store for several processes: a host opens it, and its guests use it over a socket each."""
