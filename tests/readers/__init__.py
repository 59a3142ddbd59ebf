"""Small readers of trained networks that other people published inside packages."""
