"""What the system does, one module per verb. Ports in as keywords, a frozen result out."""
