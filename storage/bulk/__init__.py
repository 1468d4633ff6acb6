"""Many resources of one type as one segment: the way of a bulk import into the lake.

`preparing` makes a segment's rows, columns and index blocks out of resources, in any process;
`storing` gives them their numbers, writes the file, and makes them visible in one transaction.
"""
