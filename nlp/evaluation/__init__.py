"""Scores of the pipeline on public corpora: `python -m nlp.evaluation <corpus>`.

The corpora are read from the folder that the environment variable CHARTLAKE_DATA names; none of
them is part of the product.
"""
