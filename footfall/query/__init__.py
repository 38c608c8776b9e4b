"""Questions about what was stored: catalog -> language -> plan -> sql -> engine -> reporting -> reports."""
