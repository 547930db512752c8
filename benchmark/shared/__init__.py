"""What every room uses: errors that are one clear line, files that are never half there."""
