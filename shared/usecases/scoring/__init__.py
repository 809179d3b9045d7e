"""Batch scoring in steps: what comes in, its parts, who does which, and how they become one."""
