"""What a model spec is drafted with: columns, the target, hints for the person who reads it.

Sees cells of a sample only; knows no files and no buckets.
"""
