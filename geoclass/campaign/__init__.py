"""Many scenes → a map each: which are to be done, who does them, what became of them."""
