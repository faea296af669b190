"""What a page cannot show, in words for the person who asked for it."""


class NotHere(Exception):
    """There is nothing of this name. The message is a sentence."""


class Unclear(Exception):
    """The address asks for something that has no meaning. The message is a sentence."""
