"""The chips that come with drawloom: one file here is one line in ``CATALOG``."""

CATALOG = {
    "tx81": "Tsingmicro RPU TX81, from public sources",
}
