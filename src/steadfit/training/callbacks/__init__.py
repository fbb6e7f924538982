"""What happens between the steps of a training: refits, rounds, early stopping, history, progress, guards."""
