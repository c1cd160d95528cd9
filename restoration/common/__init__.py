"""What every package needs: names, folders, processes, memory, and the one door to BasicSR."""
