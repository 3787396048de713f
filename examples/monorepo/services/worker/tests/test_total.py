import pathlib
import unittest

from worker.jobs import total

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"


class Total(unittest.TestCase):
    def test_adds_up_the_fixture(self):
        numbers = [int(line) for line in (FIXTURES / "numbers.txt").read_text().split()]
        self.assertEqual(total.run(numbers), 55)
