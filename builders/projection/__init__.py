"""The build that carries labelled spans to other languages, its checks, and its evaluation."""
