"""A file object as PyAV is to see it.

PyAV keeps what a file object raises, and raises it again once FFmpeg's function has come back; but an exception that is no Exception
(Ctrl-C) it loses, and takes the file to end there. So such a one is wrapped here. This is no Python code since that looks for
signals when it is entered, before it could catch anything.
"""


class Interrupted(Exception):
    """Holds the exception that is no Exception, as its argument."""


cdef class Reading:
    """Gives what the methods of a file object give."""

    cdef object file

    def __init__(self, file):
        self.file = file

    def read(self, size):
        try:
            return self.file.read(size)
        except Exception:
            raise
        except BaseException as error:
            raise Interrupted(error)

    def seek(self, offset, whence=0):
        try:
            return self.file.seek(offset, whence)
        except Exception:
            raise
        except BaseException as error:
            raise Interrupted(error)

    def tell(self):
        try:
            return self.file.tell()
        except Exception:
            raise
        except BaseException as error:
            raise Interrupted(error)
