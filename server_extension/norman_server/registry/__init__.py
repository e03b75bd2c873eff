"""Models and their versions: publishing, selecting, and the trees that workers load."""
