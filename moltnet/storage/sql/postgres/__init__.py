"""The store on PostgreSQL: one database, any number of servers that commit to it."""
