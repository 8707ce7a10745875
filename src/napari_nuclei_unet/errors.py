"""The exception whose message is shown to the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class UserError(Exception):
    """An error that the user can fix; the message is one sentence that says how.

    It is shown as a notification in napari, as one line on stderr on the command line. What can
    be set stands in it by its name in Python, in backticks, as in the notices of a ``Step``:
    :func:`name_parameters` puts flags or labels there. It never derives from RuntimeError, which
    superqt's generator workers swallow.
    """


@contextmanager
def convert_read_errors(subject: str, passed: type[Exception] = UserError) -> Iterator[None]:
    """Convert whatever a file, a server or a graph raises to a :class:`UserError`.

    A UserError stays as it is: it was worded where the file was read, and says why already.

    Parameters
    ----------
    subject : str
        What could not be read: the first words of the message.
    passed : type, optional
        Errors of this type stay as they are, too.
    """
    try:
        yield
    except (UserError, passed):
        raise
    except Exception as error:
        raise UserError(f"{subject} could not be read: {error}") from error


def name_parameters(message: str, names: Mapping[str, str]) -> str:
    """Replace the parameters of a message, each in backticks, by what a face calls them.

    Parameters
    ----------
    message : str
    names : mapping
        Of names in Python; what is in backticks but not among them stays as it is.

    Returns
    -------
    str
    """
    return re.sub(r"`(\w+)`", lambda found: names.get(found[1], found[0]), message)
