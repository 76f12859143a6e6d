"""Write the report of a comparison over several datasets."""

from pathlib import Path

from tfseg.comparison.several import read_several
from tfseg.core import files
from tfseg.reports.run import pages
from tfseg.reports.tables import Table
from tfseg.statistics.quantities import write_p

MEANS, VERDICTS, RANKS = "datasets.csv", "verdicts.csv", "ranks.csv"


def write_several(folder: Path) -> list[str]:
    """Write tables and `report.html` from the comparisons of all datasets; return the headline, one sentence each.

    Raises:
        ConfigError, RunError: as `tfseg.comparison.several.read_several`.
    """
    found = read_several(folder)
    files.write_text(folder / MEANS, found.means.to_csv(index=False))
    files.write_text(folder / VERDICTS, found.pairs.to_csv(index=False))
    files.write_text(folder / RANKS, found.ranks.to_csv(index=False))
    caption = "The mean of every arm on every dataset."
    wide = found.wide.rename_axis(columns=None).reset_index()
    Table("by_dataset", caption, wide, dict.fromkeys(found.wide.columns, 3)).write(folder / "tables")
    page = (
        pages()
        .get_template("several.html")
        .render(
            losses=list(found.wide.columns),
            metric=found.metric,
            unit=next(iter(found.by_name.values())).prepared.unit,
            subjects=found.subjects,
            phantoms=[name for name, each in found.by_name.items() if each.environment.get("phantoms")],
            headline=found.headline,
            means={name: rows.set_index("arm") for name, rows in found.means.groupby("dataset", sort=False)},
            ranks=found.ranks.to_dict("records"),
            pairs=found.pairs.to_dict("records"),
            friedman=write_p(found.friedman_p),
        )
    )
    files.write_text(folder / "report.html", page)
    return found.headline
