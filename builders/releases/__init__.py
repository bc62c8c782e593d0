"""From a draft to a published release: versions, facts, pages, reviews, differences, verification."""
