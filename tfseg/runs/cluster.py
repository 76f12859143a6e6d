"""Check what a command says about a Ray cluster, before anything is written and without Ray."""

import os
import socket

from tfseg.core.errors import ConfigError, RunError

ANSWER_S = 15.0  # to wait for a cluster
# The first bytes of an HTTP/2 connection (RFC 9113), which gRPC, and so Ray, answers with a frame of type SETTINGS.
SETTINGS_FRAME = b"\x04"
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS_FRAME + b"\0\0\0\0\0"


def check_shared_devices(devices: str | None) -> None:
    """Check that the devices of networks that train at the same time are none, or the CPU.

    Raises:
        ConfigError: if they are GPUs, which Ray divides itself.
    """
    if devices is not None and not devices.upper().startswith("CPU"):
        raise ConfigError(f"--devices: Ray divides the GPUs among the networks; leave out {devices}")


def check_answers(address: str) -> None:
    """Check that the head machine of a cluster answers, for which Ray itself would wait for minutes.

    Raises:
        ConfigError: if the address has another form.
        RunError: if nothing answers, or something else does.
    """
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise ConfigError(f"--ray-address: expected HOST:PORT of the head machine, or auto; received {address}")
    try:
        with socket.create_connection((host, int(port)), ANSWER_S) as head:
            head.sendall(GREETING)
            answer = head.recv(9)
    except OSError as error:
        reason = error.strerror or f"no answer after {ANSWER_S:.0f} s"
        raise RunError(f"--ray-address {address}: no cluster answers: {reason}") from error
    if answer[3:4] != SETTINGS_FRAME and os.environ.get("RAY_USE_TLS") != "1":
        raise RunError(f"--ray-address {address}: what answers there is not Ray")
