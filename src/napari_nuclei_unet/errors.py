"""The one exception whose message is written for the user."""


class UserError(Exception):
    """Something the user can put right; the message is one sentence that says how.

    It is shown as it stands: as a notification in napari, as one line on stderr on the
    command line. It never derives from RuntimeError, which superqt's generator workers
    swallow.
    """
