"""The error that ends a command: its text for the user, and the exit status."""


class failure(Exception):
    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status
