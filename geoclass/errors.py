"""Exceptions.

GeoclassError          any error that the user can fix; its text is the whole message
├── SceneError         a scene cannot be read or mapped
│   └── TimedOut       a server takes too long
├── ModelError         a model file is damaged, of another program or of another version
├── DatasetError       labelled tiles are missing, damaged or badly organised
├── OutputError        an output cannot be written or must not be replaced
└── SettingsError      settings are invalid, or not possible together or here

A message states, on one line, the value, the expected value and what to do. Errors of libraries are
translated where the library is called, with `raise ... from error`.

`Cancelled` is not a GeoclassError: the caller stops the work.
"""

from geoclass.outside import hide_secrets, printable


class GeoclassError(Exception):
    """Base of all errors of geoclass."""

    def __str__(self) -> str:
        """The message without secrets and control characters."""
        return printable(hide_secrets(super().__str__()))


class SceneError(GeoclassError):
    """A scene cannot be read or cannot be mapped."""


class TimedOut(SceneError):  # noqa: N818
    """A server takes too long; an abandoned thread still uses the file."""


class ModelError(GeoclassError):
    """A model file cannot be used."""


class DatasetError(GeoclassError):
    """Labelled tiles cannot be used."""


class OutputError(GeoclassError):
    """An output cannot be written."""


class SettingsError(GeoclassError):
    """Settings are invalid."""


class Cancelled(Exception):  # noqa: N818
    """Raised by a callback to stop the work; the working function raises it again.

    By then its threads have ended and no output is half-written. Other exceptions of callbacks do
    the same, except OSError, which may be translated.
    """
