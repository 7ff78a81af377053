"""Words and records for the programs to work on, the same on every machine."""

import random


def source(name):
    """Random numbers of their own for each row, so that no row's input depends on another's."""
    return random.Random(name)


class prose:
    """Text of some thousand words that occur about as unevenly as those of a language."""

    def __init__(self, numbers):
        self.numbers = numbers
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        self.vocabulary = [
            "".join(letters[int(26 * numbers.random() ** 2)] for _ in range(2 + numbers.randrange(9)))
            for _ in range(5000)
        ]

    def word(self):
        return self.vocabulary[int(5000 * self.numbers.random() ** 3)]

    def sentence(self, words):
        return " ".join(self.word() for _ in range(words))


def orders(numbers, count):
    """Orders as a shop's web service would take them: nested, of strings and numbers."""
    text = prose(numbers)
    for number in range(count):
        customer = numbers.randrange(count // 8)
        yield {
            "id": number,
            "customer": f"{text.vocabulary[customer % 5000]}-{customer}",
            "address": {"street": text.sentence(2), "city": text.word(),
                        "position": [numbers.random() * 180 - 90, numbers.random() * 360 - 180]},
            "lines": [{"article": text.word(), "title": text.sentence(3 + numbers.randrange(6)),
                       "amount": 1 + numbers.randrange(9), "price": numbers.randrange(1, 100000) / 100,
                       "tags": [text.word() for _ in range(numbers.randrange(4))]}
                      for _ in range(1 + numbers.randrange(8))],
            "note": text.sentence(numbers.randrange(40)) if numbers.randrange(3) == 0 else None,
            "paid": numbers.randrange(2) == 0,
        }
