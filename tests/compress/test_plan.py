"""Plans: what they say of each matrix, and what they refuse."""

import pytest

from foldformer.compress.plan import Plan
from foldformer.errors import SpecError
from foldformer.nn.linears.dense import DenseSpec
from foldformer.nn.linears.residual import ResidualSpec
from foldformer.spec import from_dict, to_dict


def test_the_closest_word_on_a_matrix_counts() -> None:
    plan = Plan(
        uses=(2, 1), linears={"query": ResidualSpec(rank=4), "1.query": DenseSpec(bias=False)}
    )
    assert plan.linear_of(0, "query") == ResidualSpec(rank=4)
    assert plan.linear_of(1, "query") == DenseSpec(bias=False)
    assert plan.linear_of(1, "key") == ResidualSpec()


def test_a_plan_is_what_its_yaml_says() -> None:
    plan = Plan(uses=(2, 3), order="cycle", linears={"0.value": ResidualSpec(rank=(1, 2))})
    assert from_dict(Plan, to_dict(plan)) == plan
    assert plan.num_layers == 5


@pytest.mark.parametrize("uses", [(), (2, 0)])
def test_a_group_without_layers_is_refused(uses: tuple[int, ...]) -> None:
    with pytest.raises(SpecError, match="uses: expected 1 or more"):
        Plan(uses=uses)
