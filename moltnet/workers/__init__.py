"""One server in several processes: a crew of workers that listen on one address, and the process that keeps them."""
