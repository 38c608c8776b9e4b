"""What all reports share: their shapes, their columns, how they are asked."""
