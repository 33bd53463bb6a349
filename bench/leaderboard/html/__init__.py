"""Pages to look at in a browser, made of what the Markdown pages are made of."""
