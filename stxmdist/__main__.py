"""``python -m stxmdist``."""

from stxmdist.cli import main

if __name__ == "__main__":
    main()
