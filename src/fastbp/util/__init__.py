"""What any package may need and none is about: names, checks of settings, optional modules, replacing a file."""
