"""The fault harness: an installation to hurt, an oracle that loads it, a judge that compares.

oracle.py        a process of its own: sends events and clicks over HTTP, writes into its book
                 what it sent and what was answered
book.py          the book
installation.py  Footfall's processes on a data directory: started, killed, stopped
hand.py          an oracle without haste, in the test itself
witness.py       asks an installation in trouble for what was true before
holder.py        a process that holds a file
bench.py         a door and a worker, each under a shim
shim.c, shim.py  faults at single system calls, slow fsyncs and another clock, by LD_PRELOAD
rows.py          a process of its own: what is in the store, read from its files
judge.py         the book against the store: what is lost, what is there twice
report.py        the table of all verdicts
"""
