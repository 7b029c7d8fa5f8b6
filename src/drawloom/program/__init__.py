"""What a chip loads: commands, text, binary."""
