"""The report: one self-contained HTML page about a run, fit for the supplement of a paper.

`gather_inputs` reads what the other verbs wrote, `render_page` turns it into HTML. Loading this package loads no torch.
"""
