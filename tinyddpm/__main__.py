"""python -m tinyddpm: the command line of the package."""
from .app.command_line import main

main()
