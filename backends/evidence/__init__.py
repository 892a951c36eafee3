"""What the votes say: leaderboard, agreement, export. Numbers come from thin votes, files from whole rows."""
