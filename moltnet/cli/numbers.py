"""Numbers on the command line, in the words of the people who type them."""

import click


class WholeNumber(click.IntRange):
    """An integer within bounds."""

    name = "whole number"


class Number(click.FloatRange):
    """A number within bounds, with or without a fraction."""

    name = "number"
