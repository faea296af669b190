"""``python -m stxmdist``."""

from stxmdist.cli.process import main

if __name__ == "__main__":
    main()
