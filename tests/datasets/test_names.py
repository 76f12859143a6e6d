from pathlib import Path

from tfseg.datasets.names import image_files, is_hidden, parts, stem, suffix


def test_a_stem_and_a_suffix_are_the_name():
    for name, expected in {
        "a.nii.gz": ("a", ".nii.gz"),
        "a.b.NII": ("a.b", ".NII"),
        "A.NII.GZ": ("A", ".NII.GZ"),
        "a.hdr": ("a", ".hdr"),
        "a.img.gz": ("a", ".img.gz"),
        "a.seg.nrrd": ("a.seg", ".nrrd"),
        "1.2.mha": ("1.2", ".mha"),
        "a.jpeg": ("a", ".jpeg"),
        "a.gz": ("a.gz", ""),
        "1.2.840": ("1.2.840", ""),
        ".nii": ("", ".nii"),
    }.items():
        assert (stem(Path("x") / name), suffix(Path("x") / name)) == expected


def test_a_folder_has_the_name_that_it_lies_under(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stem(Path(".")) == stem(tmp_path) == tmp_path.name


def test_the_voxels_of_a_header_are_no_file_of_their_own(tmp_path):
    pairs = ["a.hdr", "a.img", "b.HDR", "b.IMG", "c.hdr.gz", "c.img.gz", "d.mhd", "d.zraw", "e.nhdr", "e.raw.gz"]
    for name in (*pairs, "f.img", "g.raw", "h.nii", "i.txt", ".j.nii", ".k/l.nii", "m/n.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    images, others = image_files(tmp_path)
    assert [path.name for path in images] == ["a.hdr", "b.HDR", "c.hdr.gz", "d.mhd", "e.nhdr", "f.img", "h.nii"]
    assert [path.name for path in others] == ["g.raw", "i.txt"]
    assert image_files(tmp_path, recursive=True)[0] == [*images, tmp_path / "m/n.png"]
    assert [path.name for path in image_files(tmp_path, (".nii",))[0]] == ["h.nii"]


def test_a_folder_with_the_name_of_an_image_does_not_vanish(tmp_path):
    for name in ("a.nii.gz/b.txt", "c.PNG/d.png", "e/f.nii"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "g.mha").mkdir()
    assert image_files(tmp_path) == ([], [tmp_path / name for name in ("a.nii.gz", "c.PNG", "g.mha")])
    images, others = image_files(tmp_path, recursive=True)
    assert images == [tmp_path / name for name in ("c.PNG/d.png", "e/f.nii")]
    assert others == [tmp_path / name for name in ("a.nii.gz/b.txt", "g.mha")]


def test_a_header_and_its_voxels_are_the_parts_of_an_image(tmp_path):
    for name in ("a.hdr", "a.img.gz", "b.mhd", "b.raw", "c.nii.gz", "c.img"):
        (tmp_path / name).touch()
    names = {name: [part.name for part in parts(tmp_path / name)] for name in ("a.hdr", "b.mhd", "c.nii.gz")}
    assert names == {"a.hdr": ["a.hdr", "a.img.gz"], "b.mhd": ["b.mhd", "b.raw"], "c.nii.gz": ["c.nii.gz"]}


def test_hidden_is_what_a_dot_starts_below_the_folder():
    folder = Path("/home/.data")
    assert not is_hidden(folder / "a" / "b.nii", folder)
    assert is_hidden(folder / ".a" / "b.nii", folder) and is_hidden(folder / "a" / ".b.nii", folder)


def test_a_link_to_a_missing_file_is_a_file(tmp_path):
    (tmp_path / "a.nii.gz").symlink_to("nowhere")
    (tmp_path / "b.nii.gz").symlink_to("b.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "c.nii.gz").symlink_to("folder.nii.gz")
    assert [path.name for path in image_files(tmp_path)[0]] == ["a.nii.gz", "b.nii.gz"]
