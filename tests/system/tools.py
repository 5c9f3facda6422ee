"""The service programs' tools, and the supervisor, as an operator uses them."""

import ctypes
import subprocess

from flashsale_client import PRESET, PROJECT, wait_until


def tool(service, *words, timeout=300, **options):
    """flashsale-SERVICE WORD...: its end."""
    program = PROJECT / "build" / PRESET / "bin" / f"flashsale-{service}"
    return subprocess.run([str(program), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, **options)


def supervise(sale, verb, *services):
    """stop, start or restart, and wait for it."""
    for service in services:
        result = subprocess.run(["supervisorctl", "-s", f"unix://{sale.home}/run/supervisor.sock", verb, service],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert result.returncode == 0, result.stdout
        if verb != "stop":
            wait_until(lambda s=service: sale.status()[s]["pid"], what=f"{service} runs")
            sale.grpc.forget(service)


class Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]


def change_entry(store, sequence, change):
    """change(bytearray) of one ledger entry of a store that nobody uses, by LMDB alone."""
    lmdb, env, txn, table = ctypes.CDLL("liblmdb.so.0"), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint()

    def call(name, *arguments):
        status = getattr(lmdb, name)(*arguments)
        assert status == 0, f"{name}: {status}"

    call("mdb_env_create", ctypes.byref(env))
    call("mdb_env_set_maxdbs", env, ctypes.c_uint(20))
    call("mdb_env_open", env, str(store).encode(), ctypes.c_uint(0), 0o600)
    call("mdb_txn_begin", env, None, ctypes.c_uint(0), ctypes.byref(txn))
    call("mdb_dbi_open", txn, b"ledger", ctypes.c_uint(0), ctypes.byref(table))
    name = ctypes.create_string_buffer(sequence.to_bytes(8, "big"), 8)
    key, value = Value(8, ctypes.cast(name, ctypes.c_void_p)), Value()
    call("mdb_get", txn, table, ctypes.byref(key), ctypes.byref(value))
    entry = bytearray(ctypes.string_at(value.data, value.size))
    change(entry)
    changed = ctypes.create_string_buffer(bytes(entry), len(entry))
    value = Value(len(entry), ctypes.cast(changed, ctypes.c_void_p))
    call("mdb_put", txn, table, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint(0))
    call("mdb_txn_commit", txn)
    lmdb.mdb_env_close(env)
