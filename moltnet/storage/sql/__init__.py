"""The store on SQL databases: one implementation over a driver each."""
