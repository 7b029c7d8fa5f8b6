"""Systems side by side on one model and load: what each takes, what binds it, at what cost."""
