"""The SELECTs about events. The only folder that joins SQL; values travel as parameters."""
