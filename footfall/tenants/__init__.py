"""Who uses this installation and what they have: workspaces, sites, links, keys, domains."""
