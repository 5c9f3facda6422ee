"""One installation on this machine: its home folder, its supervisor, its demo sale.

./flashsale calls it as `python3 -m installation up|down|status`. Read layout.py (what is where), supervisor.py (what runs), then __main__.py.
"""
