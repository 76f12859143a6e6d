"""The list of losses is read from the source, and is that of the catalogue."""

from tfseg.losses import FAMILIES
from tfseg.losses.cards import read_docstring
from tfseg.losses.listing import list_losses, read_families


def test_the_list_is_that_of_the_catalogue():
    families = read_families()
    assert {family: list(losses) for family, losses in families.items()} == {
        family: list(losses) for family, losses in FAMILIES.items()
    }
    for family, losses in FAMILIES.items():
        for name, loss in losses.items():
            assert families[family][name] == read_docstring(loss.__doc__).summary != "", name
    assert len(list_losses().splitlines()) == sum(map(len, FAMILIES.values())) + 2 * len(FAMILIES) - 1
