"""Where things are kept: databases, blobs, trees of files and logs. Synchronous at heart."""
