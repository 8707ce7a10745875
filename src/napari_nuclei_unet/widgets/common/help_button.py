"""A button that opens a page of the documentation, which is installed with the plugin."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QTextBrowser, QToolButton

from .controls import with_properties

PAGE_SIZE = 760, 640  # in screen pixels


class HelpButton(QToolButton):
    """A question mark; a click opens a page, without the network.

    Parameters
    ----------
    page : str
        Below docs, without its ending, such as "tutorial/first-nuclei".
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self.setText("?")
        self.setObjectName("help")
        self.setToolTip("Explain this window: opens the documentation.")
        self.clicked.connect(self.open_page)

    def open_page(self, *_: object) -> QTextBrowser:
        """Open the page in a window of its own, and return that."""
        browser = create_browser(find_page(self._page))
        browser.setParent(self.window(), Qt.WindowType.Window)
        browser.show()
        return browser


def create_browser(page: Path) -> QTextBrowser:
    """Create a window that shows a page, and follows its links to others."""
    browser = QTextBrowser()
    with_properties(browser, objectName="help_page", windowTitle="Nuclei U-Net: help")
    browser.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    browser.setOpenExternalLinks(True)
    browser.setSource(QUrl.fromLocalFile(str(page)), QTextDocument.ResourceType.MarkdownResource)
    browser.resize(*PAGE_SIZE)
    return browser


def find_page(page: str) -> Path:
    """Find a page: in the installed package, or in the checkout that the package is in."""
    package = Path(str(files("napari_nuclei_unet")))
    folders = package / "docs", package.parents[1] / "docs"
    found = (folder / f"{page}.md" for folder in folders)
    return next((path for path in found if path.is_file()), folders[0] / f"{page}.md")
