"""Scores of the pipeline on public corpora: `chartlake nlp eval`.

The corpora are read from the folder that the environment variable CHARTLAKE_DATA names; none of
them is part of the product. `evaluations` lists what there is, a file each.
"""
