"""What generated rows pass, cheap to dear: the plan, its nodes, its report."""
