"""FTP, by pypeman's names."""

from __future__ import annotations

from pichannels.pypeman.channels import FTPWatcherChannel
from pichannels.pypeman.nodes import FTPFileDeleter, FTPFileReader, FTPFileWriter

__all__ = ["FTPFileDeleter", "FTPFileReader", "FTPFileWriter", "FTPWatcherChannel"]
