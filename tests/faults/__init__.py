"""Faults: what an oracle saw acknowledged is compared with what is stored after each of them."""
