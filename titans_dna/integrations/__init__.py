"""The model in other libraries' classes; each library is an extra, and is imported by its own module alone."""
