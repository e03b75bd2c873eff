"""Looks after a home: checks that everything fits together, and mends what is safe to mend."""
