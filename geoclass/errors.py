"""What can go wrong, as geoclass says it.

GeoclassError          anything a person can put right; its text is the whole message
├── SceneError         a scene that cannot be read, or that no map can be made of
│   └── TimedOut       a server that takes too long
├── ModelError         a model file that is broken, foreign or of another time
├── DatasetError       labelled tiles that are missing, corrupt or badly arranged
├── OutputError        a target that cannot be written, or must not be replaced
└── SettingsError      values that are possible one by one, but not together or not here

A message says what was got, what was expected and what to do, on one line.
Errors of the libraries below are translated where we call them, `raise ... from error`.

`Cancelled` is none of them: nothing is wrong, somebody has changed their mind.
"""

from geoclass.outside import hide_secrets, printable


class GeoclassError(Exception):
    """Base of all errors that geoclass raises on purpose."""

    def __str__(self) -> str:
        """The message, wherever it goes, without secrets and terminal controls."""
        return printable(hide_secrets(super().__str__()))


class SceneError(GeoclassError):
    """A scene cannot be read or cannot be mapped."""


class TimedOut(SceneError):  # noqa: N818  # says what happened
    """A server has taken too long; what was being read is still in use by an abandoned thread."""


class ModelError(GeoclassError):
    """A model file cannot be used."""


class DatasetError(GeoclassError):
    """Labelled tiles cannot be used."""


class OutputError(GeoclassError):
    """An output cannot be written."""


class SettingsError(GeoclassError):
    """Settings do not go together."""


class Cancelled(Exception):  # noqa: N818  # no error
    """For callbacks to raise: the work stops there, and the call that does it raises this.

    Its threads have ended by then, and no target is half-written. Any other exception that
    callers raise in a callback does the same, but for those of files and connections (OSError),
    which may be taken for the work's own.
    """
