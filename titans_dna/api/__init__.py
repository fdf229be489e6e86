"""What the public face of the package does: notebook objects in, frames and arrays out.

`titans_dna` itself names what a user needs. The modules here turn strings, lists, frames, nouns and paths into what
the command line reads too, and call the same functions; so a score is the same from either side.
"""
