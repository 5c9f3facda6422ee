"""The bench of a million bans: a list put into a protector over gRPC, read from its store at the next start, followed by a gatekeeper's list, and looked up in both.

400,000 accounts and 600,000 addresses at random, one seed. The figures of looking up are of flashsale-bans (bans.c).
"""

import json
import random
import subprocess
import time

from books import PROGRAMS, Service
from flashsale_client import free_port

NAMES = ("bans",)
ACCOUNTS, ADDRESSES = 400_000, 600_000
CHECK_NS_MAX = 1000


def write_list(path):
    numbers = random.Random(1).sample(range(1 << 24, 224 << 24), ADDRESSES)
    with path.open("w", encoding="ascii") as out:
        out.writelines(f"user:bot-{number:07}\n" for number in range(ACCOUNTS))
        out.writelines(f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}\n" for n in numbers)


def run(names, seconds, folder):
    services, port, listed = folder / "services", free_port(), folder / "list"
    services.write_text(f"protector 127.0.0.1:{port}\n", encoding="ascii")
    write_list(listed)
    protector = Service("protector", port, folder, services)
    try:
        begin = time.monotonic()
        subprocess.run([PROGRAMS / "flashsale-protector", "import", listed, "--discovery-file", services], check=True,
                       stdout=subprocess.DEVNULL)
        figures = {"import_s": round(time.monotonic() - begin, 2),
                   "protector_memory_bytes": protector.memory() - protector.memory_before}
        looked = subprocess.run([PROGRAMS / "flashsale-bans", protector.store, services, str(ACCOUNTS + ADDRESSES)], check=True,
                                stdout=subprocess.PIPE, text=True)
        figures |= json.loads(looked.stdout)
    finally:
        protector.process.kill()
        protector.process.wait()
    for name, value in figures.items():
        print(f"  bans  {name:24} {value:>14,.2f}" if isinstance(value, float) else f"  bans  {name:24} {value:>14,}")
    complaints = [f"{name} is {figures[name]:.0f}" for name in ("edge_check_ns", "protector_check_ns")
                  if figures[name] > CHECK_NS_MAX]
    if not figures["edge_bans"] >= ACCOUNTS + ADDRESSES <= figures["bans"]:
        complaints.append("not all bans arrived")
    return {"bans": figures}, complaints
