"""`python -m geoclass`: the program, where no `geoclass` is on the PATH."""

from geoclass.cli.main import main

if __name__ == "__main__":
    main(prog_name="geoclass")
