"""What the product does: a room for each part of it, errors and the nouns of the contract beside them."""
