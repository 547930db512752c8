"""stub"""

OPTIONS = {"at_epoch"}


def largest(number):
    raise NotImplementedError
