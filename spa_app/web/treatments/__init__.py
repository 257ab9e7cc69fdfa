"""Treatment cards: the page that draws them, and selling plans."""
