"""What customers are told of their orders: public contracts, the translation from internal events, and the feed."""
