"""A plug-in whose code fails when it is loaded."""


def table(size: int) -> list[float]:
    return [1 / number for number in range(size)]


TABLE = table(3)
