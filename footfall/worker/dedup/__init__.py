"""Which client-supplied ids were counted lately, in memory and over a restart."""
