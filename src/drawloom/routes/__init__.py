"""How each kind of chip runs work: one mapping strategy a folder; Graph or kernels × chip → times."""
