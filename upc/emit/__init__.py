"""Graph or Plan -> the text of a module. Imports no framework."""
