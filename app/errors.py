"""Errors that the person at the terminal can do something about: shown as their message, without a traceback."""

from __future__ import annotations


class OperatorError(Exception):
    """The message says what is wrong and what to do."""


class SettingsError(OperatorError):
    """A setting has an invalid value; the message names it and says what is allowed."""


class NoDatabase(OperatorError):
    """There is no database to work on."""


class RefusesToServe(OperatorError):
    """The service will not listen at this address."""


class ServiceDied(OperatorError):
    """The service that was started for this command ended before it answered."""
