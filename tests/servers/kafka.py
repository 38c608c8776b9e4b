"""A real Kafka broker of the tests' own, in KRaft mode, of the jars that Maven brings."""

import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from footfall.runtime.tcp_ports import free_port
from tests.servers import needs

_POM = Path(__file__).with_name("kafka.xml")
_JARS = Path(__file__).parents[2] / ".kafka"  # kept: 43 MB
_NAMES = count()
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.segment.delete.delay.ms=1000
"""


def jars():
    """The class path; Maven fetches it once."""
    if not any(_JARS.glob("kafka_*.jar")):
        needs(shutil.which("mvn") and shutil.which("java"), "apt-get install default-jre-headless maven")
        subprocess.run(
            ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={_JARS}"],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip
    return f"{_JARS}/*"


class Kafka:
    """One broker, its own controller."""

    def __init__(self, root):
        self.root = root
        self.port = free_port("127.0.0.1")
        self._process = None
        self._properties = root / "server.properties"
        values = {"port": self.port, "controller": free_port("127.0.0.1"), "data": root / "data"}
        self._properties.write_text(_PROPERTIES.format(**values))

    @property
    def brokers(self):
        """For `kafka_brokers`."""
        return f"127.0.0.1:{self.port}"

    def create(self):
        """Format its storage."""
        storage = (
            "kafka.tools.StorageTool",
            "format",
            "-t",
            "MkU3OEVBNTcwNTJENDM2Qk",
            "-c",
            self._properties,
        )
        subprocess.run(self._java(*storage), check=True, capture_output=True, timeout=120)

    def start(self):
        """Returns when it answers."""
        with (self.root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", self._properties), stdout=log, stderr=log, cwd=self.root
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self._process.poll() is None, (self.root / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self.root / "log").read_text()[-3000:]

    def end(self, how=signal.SIGKILL):
        """Whatever it has not written to the disk, the system has."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def revive(self):
        """Start it if it does not run."""
        if self._process is None:
            self.start()

    def pause(self):
        """It stands still, with all its connections."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self._process.send_signal(signal.SIGCONT)

    def topic(self):
        """The name of a topic that nobody has made yet."""
        return f"tests.{next(_NAMES)}"

    def make(self, name, partitions, **settings):
        """Make a topic as an operator does."""
        admin = self.admin()
        admin.create_topics([NewTopic(name, partitions, 1, config=settings)])[name].result(30)

    def admin(self):
        return AdminClient({"bootstrap.servers": self.brokers})

    def _answers(self):
        try:
            return bool(self.admin().list_topics(timeout=1).brokers)
        except Exception:  # noqa: BLE001 -- of whatever kind: it does not answer yet
            return False

    def _java(self, *arguments):
        options = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", jars())
        return ["java", *options, *map(str, arguments)]


@contextmanager
def kafka():
    """A broker that runs; it is gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="footfall-kafka-"))
    broker = Kafka(root)
    try:
        broker.create()
        broker.start()
        yield broker
    finally:
        broker.end()
        shutil.rmtree(root, ignore_errors=True)
