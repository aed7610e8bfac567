"""What every variable of every study is: its axes, its unit, its name in words."""
