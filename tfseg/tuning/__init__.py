"""Search hyper-parameters fairly: spaces, proposals, trials on validation subjects, sweeps."""
