"""Direct sessions between two peers, the client's side."""
