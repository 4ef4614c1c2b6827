"""The system calls that fail: their thread, their descriptor or file, and their errors."""

from harness.torture.run import Fault

LOOP = "thread:NIO-SGLTN"
RESOLVER = "resolve"
PROCESS = "start"
# Errors after which a program makes the same call again, perhaps without end.
PASSING = {"EINTR", "EAGAIN"}


class Kind:
    """`on` is None for any descriptor, "file" for the scenario's input files, "output" for the tool's output."""

    def __init__(self, name, call, gate, errors, on=None):
        self.name = name
        self.call = call
        self.gate = gate
        self.errors = errors
        self.on = on

    @property
    def spoils_output(self):
        return self.on == "output"

    def concerns(self, scenario):
        if self.on == "file":
            return bool(scenario.files)
        if self.on == "output":
            return scenario.name in ("get", "reuse-gzip")
        return (self.gate == RESOLVER) <= (scenario.name == "name")

    def fault(self, error, number, scenario, runner):
        path = {"file": scenario.files[0] if scenario.files else None, "output": runner.folder / "stdout"}.get(self.on)
        return Fault(self.call, error, number, self.gate, whole=self.gate == PROCESS, path=path and str(path))

    def is_loop_own(self, outcome):
        """Whether the call was on a descriptor that SwiftNIO's event loop makes for itself, and not on a socket or a file."""
        if self.gate != LOOP:
            return False
        if self.call in ("epoll_create", "eventfd2", "timerfd_create"):
            return True
        own = ("<anon_inode:[eventfd]>", "<anon_inode:[timerfd]>")
        return any(mark in call for call in outcome.injected for mark in own)

    def is_impossible(self, outcome):
        """Whether the kernel never fails such a call: the read that follows a wake-up of the event loop."""
        return self.call == "read" and self.is_loop_own(outcome)


KINDS = [
    Kind("socket", "socket", LOOP, ["EMFILE", "ENFILE", "ENOBUFS"]),
    Kind("connect", "connect", LOOP, ["ECONNREFUSED", "ENETUNREACH", "ETIMEDOUT", "EADDRNOTAVAIL", "EINTR"]),
    Kind("getsockopt", "getsockopt", LOOP, ["ENOBUFS"]),
    Kind("setsockopt", "setsockopt", LOOP, ["ENOBUFS", "EINVAL"]),
    Kind("getsockname", "getsockname", LOOP, ["ENOBUFS"]),
    Kind("getpeername", "getpeername", LOOP, ["ENOBUFS", "ENOTCONN"]),
    # No EAGAIN: after the kernel has announced the end of a stream, it does not report that there is nothing to read.
    Kind("read", "read", LOOP, ["ECONNRESET", "EIO", "ETIMEDOUT", "EINTR"]),
    Kind("recvfrom", "recvfrom", LOOP, ["ECONNRESET", "ENOMEM", "EINTR"]),
    Kind("write", "write", LOOP, ["EPIPE", "ECONNRESET", "ENOBUFS", "EINTR", "EAGAIN"]),
    Kind("writev", "writev", LOOP, ["EPIPE", "ECONNRESET", "ENOBUFS", "EINTR", "EAGAIN"]),
    Kind("shutdown", "shutdown", LOOP, ["ENOTCONN"]),
    Kind("close", "close", LOOP, ["EIO", "EINTR"]),
    Kind("epoll_create", "epoll_create", LOOP, ["EMFILE", "ENOMEM"]),
    Kind("eventfd2", "eventfd2", LOOP, ["EMFILE", "ENOMEM"]),
    Kind("timerfd_create", "timerfd_create", LOOP, ["EMFILE", "ENOMEM"]),
    Kind("epoll_ctl", "epoll_ctl", LOOP, ["ENOMEM", "ENOSPC"]),
    # Its other errors, and those of timerfd_settime, mean that the program has a bug.
    Kind("epoll_wait", "epoll_wait", LOOP, ["EINTR"]),
    Kind("name-openat", "openat", RESOLVER, ["EMFILE", "EACCES", "ENOENT"]),
    Kind("name-read", "read", RESOLVER, ["EIO"]),
    Kind("name-socket", "socket", RESOLVER, ["EMFILE", "EAFNOSUPPORT"]),
    Kind("name-connect", "connect", RESOLVER, ["ENETUNREACH", "ECONNREFUSED"]),
    Kind("name-poll", "poll", RESOLVER, ["EINTR", "ENOMEM"]),
    Kind("name-send", "sendmmsg,sendto", RESOLVER, ["ENETUNREACH", "ENOBUFS"]),
    Kind("name-receive", "recvfrom,recvmsg", RESOLVER, ["ECONNREFUSED", "ENOMEM"]),
    Kind("file-openat", "openat", PROCESS, ["EMFILE", "EACCES", "EINTR"], on="file"),
    Kind("file-read", "read,pread64", PROCESS, ["EIO", "EINTR"], on="file"),
    Kind("file-status", "fstat,newfstatat", PROCESS, ["EIO"], on="file"),
    Kind("file-close", "close", PROCESS, ["EIO"], on="file"),
    Kind("pipe2", "pipe2", PROCESS, ["EMFILE", "ENFILE"]),
    Kind("dup", "dup", PROCESS, ["EMFILE"]),
    Kind("output-write", "write", PROCESS, ["ENOSPC", "EIO", "EINTR"], on="output"),
]
