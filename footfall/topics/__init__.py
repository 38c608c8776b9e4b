"""Kafka topics of others: clicks that their services write, and events that they read.

Neither is the log. What comes in is safe once the door has it in the log; only then is its offset
committed, so a message may be read twice, and its id makes that harmless. What goes out is written
again until the brokers have it, so it may be there twice.
"""
