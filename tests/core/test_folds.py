"""The folders of folds are named in one place."""

from tfseg.core.folds import files_of_folds, fold_folder, fold_of


def test_a_fold_is_read_from_the_folder_that_it_names(tmp_path):
    for fold in (2, 10):
        (fold_folder(tmp_path, fold) / "predictions").mkdir(parents=True)
    (tmp_path / "final" / "predictions").mkdir(parents=True)
    assert {fold_of(path) for path in files_of_folds(tmp_path, "predictions")} == {2, 10}
    assert files_of_folds(tmp_path, "scores.csv") == []
