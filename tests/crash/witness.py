"""What the witness (witness.c) saw of a program, and what of its data.mdb a power cut would leave."""

import random
import struct
from pathlib import Path
from typing import NamedTuple

from flashsale_client import PRESET, PROJECT, wait_until

LIBRARY = PROJECT / "build" / PRESET / "lib" / "witness.so"
WRITE, WRITTEN, SYNC, SYNCED, SEND, HELD, CUT, MAPPED = range(1, 9)
GATES = ("hold-sync", "hold-meta", "hold-meta-end")
HEADER = struct.Struct("<QqqQiiii")


class Event(NamedTuple):
    number: int
    mono_ns: int
    offset: int
    length: int
    kind: int
    fd: int
    durable: int
    result: int
    payload: bytes


class Witness:
    """A folder for the trace and the gates of one run of one program."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.trace = self.folder / "trace"

    def environment(self):
        return {"LD_PRELOAD": str(LIBRARY), "FLASHSALE_WITNESS": str(self.folder)}

    def shut(self, gate):
        assert gate in GATES
        (self.folder / gate).touch()

    def open(self, gate):
        (self.folder / gate).unlink()

    def let_one_pass(self, gate):
        """Who stands at the shut gate passes, the next one waits at it again."""
        (self.folder / "another").touch()
        (self.folder / "another").replace(self.folder / gate)

    def events(self, payloads=True):
        """All events so far, in their order."""
        found = []
        with open(self.trace, "rb") as trace:
            while len(header := trace.read(HEADER.size)) == HEADER.size:
                fields = HEADER.unpack(header)
                payload = trace.read(fields[3]) if payloads else trace.seek(fields[3], 1) and b""
                if payloads and len(payload) < fields[3]:
                    break  # being written just now
                found.append(Event(*fields, payload))
        return found

    def held(self, gate):
        """How often somebody came to this gate while it was shut."""
        return sum(1 for event in self.events(payloads=False) if event.kind == HELD and GATES[event.offset] == gate)

    def wait_held(self, gate, before=0):
        """Waits until somebody stands before the gate who did not when held() was `before`."""
        wait_until(lambda: self.trace.exists() and self.held(gate) > before, what=f"somebody waits at {gate}")


def commits(events):
    """Numbers of the events that made a commit durable: the end of a meta page's write, all before it synced."""
    return [event.number for event in events if event.kind == WRITTEN and event.durable and event.result == 0]


class Disk:
    """The data file as the events up to a moment made it durable; what was written and not synced is kept apart."""

    def __init__(self, before=b""):
        self.durable = bytearray(before)
        self.waiting = {}  # number -> (offset, bytes), in the order of writing
        self.syncs = {}    # number -> the writes that it covers
        self.ended = set()

    def replay(self, events):
        for event in events:
            if event.kind == WRITE:
                self.waiting[event.number] = (event.offset, event.payload)
            elif event.kind == WRITTEN and event.result == 0:
                self.ended.add(event.offset)
                if event.durable:
                    self._keep([event.offset])
            elif event.kind == SYNC:
                self.syncs[event.number] = [number for number in self.waiting if number in self.ended]
            elif event.kind == SYNCED and event.result == 0:
                self._keep(self.syncs.pop(event.offset))
            elif event.kind == CUT:
                self.durable[event.offset:] = bytes(max(0, event.offset - len(self.durable)))
            assert event.kind != MAPPED, "the data file is written through a map, where nobody sees it"
        return self

    def _keep(self, numbers):
        for number in numbers:
            if number in self.waiting:
                put(self.durable, *self.waiting.pop(number))

    def image(self, chance):
        """After a power cut: all that was synced; of each other write nothing, the whole or the sectors that chance will have."""
        image = bytearray(self.durable)
        for offset, data in self.waiting.values():
            fate = chance.choice(("lost", "kept", "torn"))
            for at in range(0, len(data), 512):
                if fate == "kept" or (fate == "torn" and chance.random() < 0.5):
                    put(image, offset + at, data[at:at + 512])
        return bytes(image)


def put(image, offset, data):
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset:offset + len(data)] = data


class Sent:
    """Where in a trace bytes were sent: connections are streams, so an answer may begin in one sending and end in the next."""

    def __init__(self, events):
        self.streams = {}
        for event in events:
            if event.kind == SEND:
                data, marks = self.streams.setdefault(event.fd, (bytearray(), []))
                marks.append((len(data), event.number))
                data.extend(event.payload)

    def first(self, text):
        """The number of the event that sent the beginning of `text`; it must have been sent."""
        found = []
        for data, marks in self.streams.values():
            at = data.find(text)
            if at >= 0:
                found.append(max(number for begin, number in marks if begin <= at))
        assert found, "an answer arrived that nobody sent"
        return min(found)


def random_of(seed):
    print(f"seed {seed}")
    return random.Random(seed)
