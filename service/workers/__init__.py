"""The service as several processes: one that writes, and fronts that answer. docs/many_processes.md"""
