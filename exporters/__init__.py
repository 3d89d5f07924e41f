"""Records and proposals to the formats that trainers read."""
