"""The random oracle: an installation of real parts to which anything happens, in any order.

truth.py   what was sent and acknowledged, counted by the test itself
clock.py   the time that all parts are told
life.py    one life of a worker: its calls to the parts fail, or it is killed at one of them
parts.py   the log with its doors, the store, the state, a worker: held, set otherwise
steps.py   what may happen: each step is a name and a seed, so that a run can be told, repeated, cut short
sending.py those steps by which something comes in
checks.py  what must hold after every step
run.py     draws steps, takes them, and cuts a run that went wrong to the steps that matter

    python -m tests.faults.chance --seeds 1-20          runs of these seeds
    python -m tests.faults.chance --minutes 60          seeds until the time is over
    python -m tests.faults.chance --seeds 7 --cut       and the fewest steps that still go wrong
"""
