"""The build that asks language models about passages: tasks, styles, prompts, and queries without a model."""
