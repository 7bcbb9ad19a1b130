"""Which system calls the kernel refuses to code in the sandbox, as a seccomp filter."""

import platform
import struct

# By architecture: its audit number, and the system calls that code under test does not need. They make namespaces or
# mounts, make memory that no limit counts, or reach parts of the kernel with a history of security bugs.
_DENIED = {
    "x86_64": (
        0xC000003E,
        {
            *(272, 308, 165, 166, 155, 161),  # unshare setns mount umount2 pivot_root chroot
            *(428, 429, 430, 431, 432, 433, 442),  # the new mount interface
            *(101, 310, 311, 434, 438),  # ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd
            *(248, 249, 250, 321, 298, 323),  # add_key request_key keyctl bpf perf_event_open userfaultfd
            *(425, 426, 427, 319, 447),  # io_uring, memfd_create, memfd_secret
            *(29, 68, 64, 240),  # shmget msgget semget mq_open
            *(253, 294, 300),  # inotify_init inotify_init1 fanotify_init
        },
        56,  # clone
        (41, 53),  # socket socketpair
        54,  # setsockopt
    ),
    "aarch64": (
        0xC00000B7,
        {
            *(97, 268, 40, 39, 41, 51),
            *(428, 429, 430, 431, 432, 433, 442),
            *(117, 270, 271, 434, 438),
            *(217, 218, 219, 280, 241, 282),
            *(425, 426, 427, 279, 447),
            *(194, 186, 190, 180),
            *(26, 262),
        },
        220,
        (198, 199),
        208,
    ),
}
_CLONE3 = 435
_UNIX_SOCKET = 1  # of the other families, network namespaces do not isolate all: AF_VSOCK reaches the hypervisor
_SEND_BUFFER, _SEND_BUFFER_FORCE = 7, 32  # a larger one takes memory of the kernel that no limit counts
_NEW_NAMESPACE = 0x7E020080  # every CLONE_NEW… flag
_ALLOW, _REFUSE, _NO_SUCH_CALL, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06


def system_call_filter() -> bytes:
    """The filter as the kernel reads it: a classic BPF program over number, architecture and arguments of a call.

    Raises:
        LookupError: the filter is not known for the machine's architecture.
    """
    try:
        architecture, denied, clone, sockets, set_option = _DENIED[platform.machine()]
    except KeyError:
        raise LookupError(f"the sandbox runs on {', '.join(_DENIED)}, not on {platform.machine()}") from None
    numbers = sorted(denied)
    program = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the call's number
        (_AT_LEAST, 0, 1, 0x40000000),  # x32, which has its own numbers
        (_RETURN, 0, 0, _NO_SUCH_CALL),
        (_EQUAL, 0, 1, _CLONE3),  # its flags are in memory; without it libc falls back to clone
        (_RETURN, 0, 0, _NO_SUCH_CALL),
        (_EQUAL, 0, 4, clone),
        (_LOAD, 0, 0, 16),  # its flags
        (_ANY_BIT, 0, 1, _NEW_NAMESPACE),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
        *(step for number in sockets for step in _only_unix(number)),
        (_EQUAL, 0, 5, set_option),
        (_LOAD, 0, 0, 32),  # which option
        (_EQUAL, 2, 0, _SEND_BUFFER),
        (_EQUAL, 1, 0, _SEND_BUFFER_FORCE),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
        *((_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _only_unix(number: int) -> list[tuple[int, int, int, int]]:
    """Refuse the call of this number unless its first argument, the family of a socket, is AF_UNIX."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 0, 1, _UNIX_SOCKET),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
