"""The server side of agent attachments."""
