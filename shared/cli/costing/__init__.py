"""What an installation costs a month: unit prices, assumptions, quantities, and the sum."""
