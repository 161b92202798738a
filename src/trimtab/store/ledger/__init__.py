"""The ledger: every change of state, in order, in a Merkle tree whose root is signed and can be compared."""
