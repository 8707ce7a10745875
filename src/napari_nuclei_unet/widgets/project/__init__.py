"""Projects that are saved and opened, and the journal of unsaved edits."""
