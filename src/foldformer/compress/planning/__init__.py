"""What a budget of bytes buys best: error tables -> dynamic programme -> plan."""
