"""The service as several processes: one that writes, and fronts that answer."""
