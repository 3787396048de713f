"""What all services of the company share."""
