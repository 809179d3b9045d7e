"""What people should look at before a model learns from it."""
