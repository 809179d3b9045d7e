"""Files of every format as blocks of cells, in bounded memory."""
