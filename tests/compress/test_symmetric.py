"""Half of a symmetric product against all of it."""

import pytest
import torch
from torch import Tensor

from foldformer.compress import symmetric
from foldformer.compress.symmetric import (
    add_lower_product,
    eigh,
    eigvalsh,
    lower_congruence,
    lower_product,
    lower_times,
    mirror,
)


@pytest.fixture(autouse=True, params=[3, 4, 512])
def _blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that divide the 8 rows here, that do not, and one for all of them."""
    monkeypatch.setattr(symmetric, "_BLOCK", request.param)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def positive(width: int) -> Tensor:
    x = random(2 * width, width)
    return x.t() @ x


def test_a_product_of_itself() -> None:
    x = random(5, 8)
    found = lower_product(x, x)
    torch.testing.assert_close(found.tril(), (x.t() @ x).tril())
    torch.testing.assert_close(mirror(found), x.t() @ x)


def test_a_product_in_a_metric_is_all_that_eigenvalues_need() -> None:
    x, moment = random(5, 8), positive(5)
    gram = x.t() @ moment @ x
    values = torch.linalg.eigvalsh(lower_product(x, moment @ x))
    torch.testing.assert_close(values, torch.linalg.eigvalsh(gram))


def test_products_add_up_in_another_precision() -> None:
    x = random(5, 8).float()
    total = torch.ones(8, 8, dtype=torch.float64)
    add_lower_product(total, x, x, factor=-2)
    expected = 1 - 2 * (x.t() @ x).double()
    torch.testing.assert_close(mirror(total), expected, rtol=1e-6, atol=1e-6)


def test_a_congruence() -> None:
    lower, middle = torch.linalg.cholesky(positive(8)), positive(8)
    expected = lower.t() @ middle @ lower
    torch.testing.assert_close(mirror(lower_congruence(lower, middle)), expected)


def test_a_lower_triangle_times_a_matrix() -> None:
    lower, x = random(8, 8).tril(), random(8, 3)
    torch.testing.assert_close(lower_times(lower, x), lower @ x)


@pytest.mark.parametrize("factor", [1.0, 2.0**-60, 2.0**-100, 0.0])
def test_small_matrices_are_decomposed_as_large_ones(factor: float) -> None:
    gram = positive(8).float()
    values, vectors = eigh(gram)
    small, same = eigh(factor * gram)
    torch.testing.assert_close(small, factor * values, rtol=0, atol=0)
    torch.testing.assert_close(eigvalsh(factor * gram), factor * eigvalsh(gram), rtol=0, atol=0)
    if factor:
        torch.testing.assert_close(same, vectors, rtol=0, atol=0)
