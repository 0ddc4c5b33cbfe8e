"""QEMU's machine protocol, as far as the lab needs it: commands and their answers over a unix socket."""

import json
import socket

from .error import LabError, wait_until

ANSWER_LIMIT = 120


class Qmp:
    """A connection to one QEMU."""

    def __init__(self, path, limit=60):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(ANSWER_LIMIT)
        wait_until(lambda: self._connected(path), limit, lambda: f"QEMU does not answer on {path}")
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self._receive()
        self.ask("qmp_capabilities")

    def _connected(self, path):
        try:
            self._socket.connect(str(path))
            return True
        except OSError:
            return False

    def _receive(self):
        try:
            line = self._stream.readline()
        except OSError as error:
            raise LabError(f"QEMU's monitor: {error}") from error
        if not line:
            raise LabError("QEMU closed its monitor")
        return json.loads(line)

    def ask(self, command, **arguments):
        """What QEMU returns for a command. Events are passed over."""
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while True:
            answer = self._receive()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise LabError(f"QEMU refuses {command}: {answer['error'].get('desc', answer['error'])}")

    def close(self):
        """Ends the connection; QEMU goes on."""
        self._stream.close()
        self._socket.close()
