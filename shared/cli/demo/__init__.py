"""`make demo`: the main job on real data, through the real event path, explained as it goes."""
