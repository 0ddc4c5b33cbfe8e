"""A guest without netkeel, the packages on it, and what can be asked there."""

import contextlib
import json
import shutil
import tempfile
import time
from pathlib import Path


from lifetime.host import FILES as SERVICE
from lifetime.host import ServingHost
from netkeel_lab.error import wait_until
from packages import NEW, OLD
from realserver.host import GUEST, fresh_host

HERE = Path(__file__).resolve().parent.parent
DESIRED = "/etc/netkeel/desired.d/10-host.yaml"
# Messages a second, steadily.
RATE = 200
# So many seconds without a copy are the end of them.
QUIET = 8


@contextlib.contextmanager
def installing_host(kernel, packages):
    """A guest with the files of the service's suite, and both packages. `packages` has by version the .deb and the .rpm."""
    with tempfile.TemporaryDirectory(prefix="netkeel-install-") as parcel:
        shutil.copytree(SERVICE, parcel, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "lifetime", "*.rs"))
        for part in ("guest", "documents"):
            shutil.copytree(HERE / part, Path(parcel) / part, dirs_exist_ok=True)
        with fresh_host("install", kernel, Path(parcel)) as plain:
            plain.sh("rm /usr/bin/netkeel")
            host = InstallingHost(plain)
            for version, files in packages.items():
                for path in files:
                    plain.machine.put(path, host.package(version, path.suffix[1:]))
            yield host


class InstallingHost(ServingHost):
    """The guest. netkeel is there when a package of it is."""

    def __init__(self, host):
        super().__init__(host)
        self._sent = 0

    def start_network(self):
        """The network of a node that serves an address. It sets sysctls of the host, which new namespaces inherit."""
        self.sh(f"cp {GUEST}/guest/lab-network.service /etc/systemd/system/ && systemctl daemon-reload && systemctl start lab-network")

    @staticmethod
    def package(version, form="deb"):
        """The file of a package of a format in the guest."""
        return f"/root/netkeel_{version}.{form}"

    def apt(self, words):
        """Runs apt without a terminal; returns its exit code and all that it prints."""
        return self.call(f"apt-get -q {words} < /dev/null")

    def install(self, version):
        """Installs this version by apt, whichever is there."""
        return self.apt(f"install -y --allow-downgrades {self.package(version)}")

    def version(self):
        """The installed version, without the revision of the package."""
        return self.sh("dpkg-query -W -f '${Version}' netkeel").partition("-")[0]

    def write_document(self):
        """Writes the document of a node that serves an address."""
        self.sh(f"mkdir -p {DESIRED.rpartition('/')[0]} && cp {GUEST}/documents/host.yaml {DESIRED}")

    def arrived(self):
        """How many copies came to the peer."""
        return self.seen("near").get("eth0 4", 0)

    @contextlib.contextmanager
    def traffic(self, counted):
        """A router that sends steadily, while the block runs. Then `counted` has what it sent, and what came of it."""
        before = self.arrived()
        words = f"ip netns exec router python3 {GUEST}/guest/steady.py 4 {RATE} {self._sent}"
        self.sh(f"rm -f /run/steady; systemd-run -q --collect --unit=steady -p StandardOutput=file:/run/steady {words}")
        try:
            wait_until(lambda: self.arrived() - before > RATE, 60, lambda: f"nothing comes: {self.log()}", 0.2)
            yield
            # Copies of the time after the restart, and those that waited in the socket.
            time.sleep(2)
        finally:
            self.sh("systemctl stop steady")
        sent = int(self.sh("cat /run/steady"))
        self._sent += sent
        last = []

        def settled():
            came, now = self.arrived() - before, time.monotonic()
            if not last or last[0] != came:
                last[:] = [came, now]
            return came == sent or now - last[1] > QUIET

        wait_until(settled, 300, lambda: f"copies keep coming: {last}", 0.5)
        counted.update(sent=sent, came=last[0])

    def kept(self):
        """What must survive an upgrade: the values from before, what was applied, who paused, who holds what."""
        status = self.status()
        return {
            "ledger": self.sh("sha256sum < /var/lib/netkeel/ledger.json"),
            "history": self.sh("netkeel history"),
            "owners": self.sh("netkeel owners"),
            "pause": json.dumps(status.get("paused"), sort_keys=True),
            "watchdogs": self.sh("systemctl list-units --plain --no-legend 'netkeel-undo-*' | cut -d' ' -f1"),
            "probing": self.sh("cat /proc/sys/net/ipv4/tcp_mtu_probing"),
            "documents": self.sh("sha256sum /etc/netkeel/desired.d/*"),
        }


VERSIONS = {"upgrade": NEW, "downgrade": OLD}
