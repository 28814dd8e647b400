"""What happens to parameters: update rules, penalties, arithmetic of flat buffers."""
