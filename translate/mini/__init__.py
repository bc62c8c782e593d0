"""The shipped mini model: its lexicon, its synchronous grammar and the sentences drawn from them."""
