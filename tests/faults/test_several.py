"""Several doors on one log, some of them killed, stopped or slow; a second worker is turned away."""

import signal

from footfall.runtime.tcp_ports import free_port
from tests.faults.harness.bench import Bench
from tests.faults.harness.installation import HOST, until
from tests.faults.harness.judge import judge
from tests.faults.harness.shim import Shim
from tests.faults.test_held import SMALL_SEGMENTS


def test_several_doors_and_a_second_worker(install, check, rounds, chance):
    site = install()
    site.serve()
    ports = [free_port(HOST), free_port(HOST)]
    doors = [site.start("door", port=port) for port in ports]
    for port in ports:
        until(lambda port=port: site.door_answers(port), "the other doors answer")
    oracle = site.oracle(doors=[site.port, *ports], connections=6, seed=chance.randrange(1 << 30))
    repeats = max(2, rounds // 10)
    for number in range(repeats):
        oracle.phase(str(number))
        oracle.sent(at_least=chance.randint(30, 100))
        at = number % 2
        if at == 0:
            doors[at].kill()
            doors[at].wait()
        else:
            site.terminate(doors[at])
        doors[at] = site.start("door", port=ports[at])
        until(lambda at=at: site.door_answers(ports[at]), "the door is back")
    second = site.start("worker", "--with-console", port=free_port(HOST))
    assert second.wait(timeout=60) != 0, "a second worker must not run on the same log"
    assert "in use by `footfall serve`" in site.tail()
    oracle.sent(at_least=30)
    oracle.stop()
    check(
        judge("three doors, two of them restarted; a second worker", repeats, site, pending_is_stored=False)
    )


def test_a_slow_door_beside_others(install, check, library, repeats, chance):
    """One of three stands still or has a slow disk: the others, and the worker, go on without it.

    It may stand still with a file locked, and be killed like that: another one takes its shard over.
    """
    site = install(settings=SMALL_SEGMENTS)
    bench = Bench(site, library)
    ports = site.ports(2)
    slow = Shim(library, site.directory / "slow.control")
    slow.watch("/data/log/")

    def door(port, **environment):
        process = site.start("door", port=port, **environment)
        until(lambda: site.door_answers(port), "the door answers")
        return process

    victim = door(ports[0], **slow.environment)
    door(ports[1])
    others = site.oracle(doors=[site.port, ports[1]], events=400, clicks=10, seed=chance.randrange(1 << 30))
    victims = site.oracle(doors=ports[:1], events=400, clicks=10, seed=chance.randrange(1 << 30))
    for number in range(repeats):
        stands = number % 2 == 0
        for oracle in (others, victims):
            oracle.phase(f"{number}-{'stands' if stands else 'slow'}")
        victims.sent(at_least=30)
        stored = site.counted()
        if stands:
            victim.send_signal(signal.SIGSTOP)
        else:
            slow.slow_fsync(1)
        others.sent(at_least=50)
        # What the others take is stored meanwhile, also by a worker that begins.
        bench.kill("worker")
        bench.wait()
        until(lambda stored=stored: site.counted() > stored, "the others' events are stored")
        further = door(free_port(HOST)) if chance.random() < 0.5 else None
        slow.slow_fsync(0)
        if chance.random() < 0.5:
            victim.kill()
            victim.wait()
            victim = door(ports[0], **slow.environment)
        victim.send_signal(signal.SIGCONT)
        if further:
            site.terminate(further)
    for oracle in (others, victims):
        oracle.stop()
    verdict = judge(
        "a door that stands still or is slow beside two others", repeats, site, pending_is_stored=False
    )
    check(verdict)
