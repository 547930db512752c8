"""What a network does: operations and firing rates in one pass, its structure at paper size, and checks that it is alive."""
