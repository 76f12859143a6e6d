"""Write the tables and the report of a comparison of masks."""

from tfseg.comparison.masks import MaskComparison
from tfseg.core import files
from tfseg.reports.evidence import evidence
from tfseg.reports.run import pages
from tfseg.reports.tables import study_tables, values_by_case
from tfseg.statistics import VERDICT_COLUMNS


def write_mask_comparison(compared: MaskComparison) -> None:
    """Write all tables and, last, `report.html` into the folder of a comparison."""
    folder = compared.folder
    files.write_text(folder / "means.csv", compared.means.to_csv(index=False))
    files.write_text(folder / "tests.csv", compared.tests.to_csv(index=False))
    files.write_text(folder / "verdicts.csv", compared.tests[list(VERDICT_COLUMNS)].to_csv(index=False))
    for table in study_tables(list(compared.questions.values()), {}, {}, compared.tolerance_mm, compared.unit):
        table.write(folder / "tables")
    by_case = values_by_case(compared.scores, compared.diagonals)
    files.write_text(folder / "tables" / "by_case.csv", by_case.to_csv(index=False))
    page = (
        pages()
        .get_template("masks.html")
        .render(
            **evidence(compared, compared.tests, compared.unit),
            dataset=compared.dataset,
            headline=compared.headline,
            sources=compared.sources,
            command=compared.environment.get("command"),
            tolerance=f"{compared.tolerance_mm:g}",
            kind="method",
            trained=False,
            masks={},
        )
    )
    files.write_text(folder / "report.html", page)
