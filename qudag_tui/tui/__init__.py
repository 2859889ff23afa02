"""``qudag-top``: the full-screen monitor. Textual and the thin widgets live here and nowhere else."""
