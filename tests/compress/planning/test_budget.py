import pytest

from foldformer.compress.planning.budget import bytes_of
from foldformer.compress.planning.made import at_least


@pytest.mark.parametrize(
    ("text", "size"), [("1.001MB", 1_001_000), ("4.35 kB", 4350), ("1.1GB", 1_100_000_000)]
)
def test_a_size_is_what_is_written(text: str, size: int) -> None:
    assert bytes_of(text) == size


def test_what_is_said_to_be_enough_is() -> None:
    assert all(bytes_of(f"{at_least(size)}MB") >= size for size in range(1, 3_000_000, 997))
