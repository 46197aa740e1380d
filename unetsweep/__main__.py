"""`python -m unetsweep` is the command `unetsweep`."""

from unetsweep.cli.main import main

if __name__ == "__main__":
    main()
