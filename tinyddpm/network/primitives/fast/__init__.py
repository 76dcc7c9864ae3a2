"""What the networks run: the operations of the folder above in less time.  Read those first."""
