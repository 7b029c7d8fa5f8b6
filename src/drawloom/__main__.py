"""``python -m drawloom`` is the command line."""

from drawloom.cli import main

main()
