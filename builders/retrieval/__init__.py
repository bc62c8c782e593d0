"""First stages: retrievers behind one protocol, exact search, and the candidates they return."""
