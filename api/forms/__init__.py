"""The submit page's form, made from the catalog and from the spec's own models.

Nothing here knows of a request or a database: data comes in, data goes out.
"""
