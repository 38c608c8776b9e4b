"""Several doors on one log, one of them killed and one stopped; a second worker is turned away."""

from footfall.ports import free_port
from tests.faults.harness.installation import HOST, until
from tests.faults.harness.judge import judge


def test_several_doors_and_a_second_worker(install, check, rounds, chance):
    site = install()
    site.serve()
    ports = [free_port(HOST), free_port(HOST)]
    doors = [site.start("collect", port=port) for port in ports]
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
        doors[at] = site.start("collect", port=ports[at])
        until(lambda at=at: site.door_answers(ports[at]), "the door is back")
    second = site.start("work", "--with-query", port=free_port(HOST))
    assert second.wait(timeout=60) != 0, "a second worker must not run on the same log"
    assert "in use by `footfall serve`" in site.tail()
    oracle.sent(at_least=30)
    oracle.stop()
    check(
        judge("three doors, two of them restarted; a second worker", repeats, site, pending_is_stored=False)
    )
