"""The broken inputs: which file of which sound input is broken how, and the commands that must refuse it."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import breaking
import numpy as np
from breaking import ESCAPED, Change, Named
from sound_inputs import SMALL

INSPECT = ("inspect", "{in}")
PREP = ("prep", "--data", "{in}", "--out", "{out}")
SCORE = ("score", "{in}/{labels}", "{sound}/{labels}", "--out", "{out}/scores.csv")
SCORED = ("score", "{sound}/{labels}", "{in}/{labels}", "--out", "{out}/scores.csv")
FIT = ("fit", "--prepared", "{in}", "--loss", "dice", "--out", "{out}", *SMALL)
PREP_AGAIN = ("prep", "--data", "{all}/decathlon", "--recipe", "{all}/settings/recipe.yaml", "--out", "{in}")
EXPORT = ("export", "{in}", "--out", "{out}")
REPORT = ("report", "{in}")
DATASET = (INSPECT, PREP)

IMAGE = {
    "decathlon": "imagesTr/abdomen_001.nii.gz",
    "nnunet": "imagesTr/case_1_0000.nii",
    "bids": "sub-1/anat/sub-1_T1w.nii.gz",
    "pair": "images/case_1.hdr",
    **{kind: f"images/case_1.{kind}" for kind in ("nrrd", "nhdr", "mha", "mhd", "png", "jpg", "tif", "bmp")},
    "dicom": "images/case_1/005.dcm",
    "enhanced": "images/case_1/1.dcm",
}
LABEL = {
    "decathlon": "labelsTr/abdomen_001.nii.gz",
    "nnunet": "labelsTr/case_1.nii",
    "bids": "derivatives/drawn/sub-1/anat/sub-1_dseg.nii.gz",
    "pair": "labels/case_1.hdr",
    **{kind: f"labels/case_1.{kind}" for kind in ("nrrd", "nhdr", "mha", "mhd")},
    **{kind: f"masks/case_1.{kind}" for kind in ("png", "jpg", "tif", "bmp")},
    "dicom": "labels/case_1.nii.gz",
    "enhanced": "labels/case_1.nii.gz",
}
DATA = {"pair": ".img", "nhdr": ".raw", "mhd": ".zraw"}
# Bytes of a header, of which some are free text or unused.
HEADER_BYTES = {"decathlon": 10, "bids": 10, "nnunet": 352, "pair": 348, "nrrd": 500, "mha": 500, "dicom": 1200}
# Formats without a checksum: flipped bits may give other values, which nobody can notice.
NO_CHECKSUM = ("nnunet", "pair", "nhdr", "jpg", "tif", "bmp", "dicom", "enhanced")
DEEP = 100_000
QUICK = ("decathlon", "nrrd", "mha", "png", "dicom", "settings")


@dataclass(frozen=True)
class Broken:
    """A sound input of which one file is broken.

    Args:
        name: what is broken how.
        sound: the input.
        file: the file that `change` gets; its path inside the input.
        change: breaks it.
        commands: what must refuse it; {in} is the broken copy, {sound} the input, {all} all inputs, {out} a new folder.
        may_pass: whether the damage may be harmless: commands may also succeed.
    """

    name: str
    sound: str
    file: str
    change: Change
    commands: tuple[tuple[str, ...], ...]
    may_pass: bool = False


def every() -> list[Broken]:
    """Return all broken inputs; those that need TensorFlow come last."""
    makers = (images, headers, grids, descriptions, tables, names, settings, prepared, runs)
    return list(chain.from_iterable(make() for make in makers))


def few(number: int = 20) -> list[Broken]:
    """Return some broken inputs of kinds that are quickly made and tried."""
    return random.Random(1).sample([each for each in every() if each.sound in QUICK], number)


def images() -> Iterator[Broken]:
    """Files of every format, cut short, with flipped bits and replaced."""
    for sound in IMAGE:
        header = HEADER_BYTES.get(sound, 60)
        lossy = sound in NO_CHECKSUM
        # A 2D image's last byte ends it, and a header's last byte is a line's end: what matters is complete.
        whole = {"without its last byte"} if sound in ("png", "jpg", "tif", "nhdr", "mhd") else set()
        for kind, file, commands in (
            ("image", IMAGE[sound], DATASET),
            ("label map", LABEL[sound], (INSPECT, PREP, *(() if sound == "bids" else (SCORE, SCORED)))),
        ):
            if kind == "label map" and sound in ("bids", "dicom", "enhanced"):
                continue  # of a format that others have
            yield from _all(sound, kind, file, breaking.cuts(header), commands, whole)
            flipped = breaking.flips(file, 0, header, 4 if kind == "image" else 2)
            yield from _all(sound, kind, file, flipped, commands, may_pass=True)
            flipped = breaking.flips(file, header, -8, 2 if sound not in DATA else 0)
            yield from _all(sound, kind, file, flipped, commands, may_pass=lossy)
            if sound in ("decathlon", "nrrd", "mha", "png", "dicom"):
                missing = {"missing"} if sound == "dicom" else set()  # slices at both ends may be absent
                yield from _all(sound, kind, file, breaking.replaced(), commands, missing)
        if sound in DATA:
            voxels = str(Path(IMAGE[sound]).with_suffix(DATA[sound]))
            yield from _all(sound, "voxels", voxels, breaking.cuts(100), DATASET)
            flipped = breaking.flips(voxels, 0, -8, 2 if sound == "mhd" else 0)
            yield from _all(sound, "voxels", voxels, flipped, DATASET)
            yield from _all(sound, "voxels", voxels, islice(breaking.replaced(), 3, 4), DATASET)


def headers() -> Iterator[Broken]:
    """Headers that claim what no file holds."""
    nifti = {
        "no dimensions": (40, "<h", (0,)),
        "eight dimensions": (40, "<h", (8,)),
        "a negative size": (42, "<h", (-5,)),
        "32767 cubed voxels": (40, "<4h", (3, 32767, 32767, 32767)),
        "a size of zero": (44, "<h", (0,)),
        "five dimensions": (40, "<6h", (5, 32, 32, 1, 1, 2)),
        "an unknown type": (70, "<h", (1234,)),
        "complex numbers": (70, "<2h", (32, 64)),
        "colours": (70, "<2h", (128, 24)),
        "voxels of no size": (76, "<4f", (1, 0, 0, 0)),
        "voxels of NaN millimetres": (280, "<4f", (np.nan,) * 4),
        "an infinite place": (292, "<f", (np.inf,)),
        "voxels far behind its end": (108, "<f", (1e9,)),
        "voxels before its header": (108, "<f", (-400,)),
        "voxels at NaN": (108, "<f", (np.nan,)),
        "an infinite slope": (112, "<f", (np.inf,)),
    }
    for sound in ("nnunet", "pair"):
        # nibabel reads a slope of infinity as none, and voxels of no size where an sform says more.
        usual = {"an infinite slope", "voxels before its header", "voxels at NaN", "voxels of no size"}
        yield from _all(sound, "image", IMAGE[sound], breaking.bytes_at(nifti), DATASET, usual)
    itk = {
        "nrrd": {
            "sizes of terabytes": ("sizes: 32 32 ", "sizes: 320000 32000 "),
            "negative sizes": ("sizes: 32 ", "sizes: -32 "),
            "two dimensions": ("dimension: 3", "dimension: 2"),
            "an unknown type": ("type: ", "type: quad"),
            "an unknown encoding": ("encoding: gzip", "encoding: zstd"),
        },
        "nhdr": {
            "voxels elsewhere": ("case_1.raw", "../../../../nowhere.raw"),
            "voxels of a device": ("case_1.raw", "/dev/zero\n#"),
            "NaN millimetres": ("space directions: (", "space directions: (nan,0,0) ("),
        },
        "mha": {
            "sizes of terabytes": ("DimSize = 32 32 ", "DimSize = 320000 32000 "),
            "negative sizes": ("DimSize = 32 ", "DimSize = -32 "),
            "an unknown type": ("ElementType = MET_", "ElementType = MET_QUAD_"),
            "a size of compressed data that is wrong": ("CompressedDataSize = ", "CompressedDataSize = 9"),
            "NaN millimetres": ("ElementSpacing = ", "ElementSpacing = nan nan nan "),
        },
        "mhd": {
            "voxels elsewhere": ("case_1.zraw", "../../../../nowhere.zraw"),
            "voxels in many files": ("case_1.zraw", "LIST\nnowhere"),
        },
    }
    for sound, substitutions in itk.items():
        may_pass = {"a size of compressed data that is wrong"}
        yield from _all(sound, "image", IMAGE[sound], breaking.text(substitutions), DATASET, may_pass)
    for columns, rows in ((60_000, 60_000), (2**31 - 1, 1), (0, 32), (2**31, 2**31)):
        yield Broken(
            f"png: a header of {columns}×{rows} pixels", "png", IMAGE["png"], breaking.png_size(columns, rows), DATASET
        )
    bmp = {"65535 cubed pixels": (18, "<2i", (65535, 65535)), "negative columns": (18, "<i", (-32,))}
    yield from _all("bmp", "image", IMAGE["bmp"], breaking.bytes_at(bmp), DATASET)
    rows = b"\x28\x00\x10\x00US\x02\x00"

    def tall(path: Path) -> None:
        content = path.read_bytes()
        place = content.index(rows) + len(rows)
        path.write_bytes(content[:place] + b"\xff\xff" + content[place + 2 :])

    yield Broken("dicom: a slice of 65535 rows", "dicom", IMAGE["dicom"], tall, DATASET)
    yield Broken("enhanced: frames of 65535 rows", "enhanced", IMAGE["enhanced"], tall, DATASET)


def grids() -> Iterator[Broken]:
    """Volumes on another grid than their label maps, and with values that are no numbers."""
    for sound in ("decathlon", "nnunet", "pair", "nrrd", "mha", "mhd"):
        yield from _all(sound, "image", IMAGE[sound], breaking.numbers(), DATASET)
        yield from _all(sound, "image", IMAGE[sound], breaking.grids(), DATASET)
    yield from _all("decathlon", "label map", LABEL["decathlon"], breaking.numbers(), (*DATASET, SCORE, SCORED))
    yield from _all("decathlon", "label map", LABEL["decathlon"], breaking.grids(), (*DATASET, SCORE, SCORED))


def descriptions() -> Iterator[Broken]:
    """Damaged and hostile `dataset.json` and `labels.json`."""
    texts: dict[str, str | bytes] = {
        "empty": "",
        "half": '{"labels": {',
        "a list": "[]",
        "null": "null",
        "deep": '{"labels": ' * DEEP,
        "deep lists": "[" * DEEP,
        "a long number": '{"labels": {"a": ' + "9" * 10_000 + "}}",
        "binary": bytes(range(256)),
        "NaN": '{"labels": {"a": NaN}, "channel_names": NaN, "modality": NaN, "training": NaN}',
    }
    for sound, file in (("decathlon", "dataset.json"), ("nnunet", "dataset.json"), ("nrrd", "labels.json")):
        yield from _all(sound, file, file, breaking.contents(texts), DATASET)
    outside = {"image": f"../{ESCAPED}.nii.gz", "label": f"/{ESCAPED}.nii.gz"}
    wrong = {
        "no labels": {"labels": ...},
        "labels in a list": {"labels": ["liver"]},
        "labels of text": {"labels": {"liver": "one"}},
        "two labels of one value": {"labels": {"liver": 1, "spleen": 1}},
        "a label of many digits": {"labels": {"liver": 10**300}},
        "no training": {"training": ...},
        "training of null": {"training": None},
        "training of numbers": {"training": [1, 2]},
        "no cases": {"training": []},
        "paths outside": {"training": [outside]},
        "a path with a zero byte": {"training": [{"image": "a\0b.nii.gz", "label": "a\0b.nii.gz"}]},
        "a path of 10000 letters": {"training": [{"image": "a" * 10_000, "label": "b" * 10_000}]},
        "a case called ..": {"training": [{"image": "imagesTr/...nii.gz", "label": "labelsTr/...nii.gz"}]},
        "paths of numbers": {"training": [{"image": 1, "label": 2}]},
        "no channels": {"modality": {}},
        "channels of a channel": {"modality": {"0": {"0": "CT"}}},
    }
    yield from _all("decathlon", "dataset.json", "dataset.json", breaking.edited(wrong), DATASET)
    listed = {"case": {"images": [f"../../{ESCAPED}.nii"], "label": "/dev/zero"}}
    escape = {"images": ["imagesTr/case_1_0000.nii"], "label": "labelsTr/case_1.nii"}
    wrong = {
        "no channel_names": {"channel_names": {}},
        "channel_names in a list": {"channel_names": ["CT"]},
        "two channels of one number": {"channel_names": {"0": "CT", "00": "T1"}},
        "more channels than files": {"channel_names": {"0": "CT", "1": "T1"}},
        "a file_ending of null": {"file_ending": None},
        "a file_ending that no file has": {"file_ending": ".nii.gz"},
        "regions of nothing": {"labels": {"background": 0, "whole": []}},
        "regions of text": {"labels": {"background": 0, "whole": [1, "two"]}},
        "files outside": {"dataset": listed},
        "a case that leaves the folder": {"dataset": {f"../../../{ESCAPED}": escape}},
        "an absolute case": {"dataset": {f"/tmp/{ESCAPED}": escape}},
        "cases in a list": {"dataset": [escape]},
    }
    yield from _all("nnunet", "dataset.json", "dataset.json", breaking.edited(wrong), DATASET)


def tables() -> Iterator[Broken]:
    """Damaged and hostile manifests and tables of names."""
    row = "case_0,images/case_0.nrrd,labels/case_0.nrrd"
    texts: dict[str, str | bytes] = {
        "empty": "",
        "no rows": "subject,image,label\n",
        "no label column": "subject,image\na,b\n",
        "two columns of one name": f"subject,image,label,label\n{row},x\n",
        "an open quote": f'subject,image,label\n"{row}\n',
        "a zero byte": f"subject,image,label\n{row}\0\n",
        "binary": bytes(range(256)) * 4,
        "a cell of a megabyte": f"subject,image,label\n{'a' * 2**20},b,c\n",
        "more cells than columns": f"subject,image,label\n{row},more\n",
        "an empty cell": "subject,image,label\na,,c\n",
        "files outside": f"subject,image,label\na,../../{ESCAPED}.nrrd,/dev/zero\n",
        "a folder as an image": "subject,image,label\na,images,labels\n",
        "a case that leaves the folder": f"subject,case,image,label\na,../../{ESCAPED},{row[7:]}\n",
        "a split without a test": f"subject,image,label,split\n{row},train\n",
        "10000 columns": ",".join(map(str, range(10_000))) + "\n",
    }
    yield from _all("nrrd", "manifest", "manifest.csv", breaking.contents(texts), DATASET)
    table = "derivatives/drawn/dseg.tsv"
    texts = {
        "no columns": "1\tliver\n",
        "a value of text": "index\tname\none\tliver\n",
        "a value twice": "index\tname\n1\tliver\n1\tspleen\n",
        "no values of the label maps": "index\tname\n77\tliver\n",
        "binary": bytes(range(256)),
        "a long number": f"index\tname\n{'9' * 10_000}\tliver\n",
    }
    yield from _all("bids", "table", table, breaking.contents(texts), DATASET)


def names() -> Iterator[Broken]:
    """File names that leave the folder, break lines or are no text."""
    tricks = {
        "not UTF-8": b"case_\xff.png",
        "with a line break": b"case\n1.png",
        "with an escape sequence": b"case_\x1b[31m1.png",
        "with markup": b"[bold]case[",
        "of 250 letters": b"a" * 246 + b".png",
        "with braces": b"{case}.png",
        "that starts with a dash": b"-rf.png",
    }
    for name, raw in tricks.items():

        def rename(path: Path, raw: bytes = raw) -> None:
            path.rename(path.parent / raw.decode(errors="surrogateescape"))

        yield Broken(f"png: an image's name {name}", "png", IMAGE["png"], rename, DATASET)


def settings() -> Iterator[Broken]:
    """Damaged and hostile recipes, configurations, studies and splits."""
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    texts: dict[str, str | bytes] = {
        "half": "labels: {",
        "a list": "- 1\n",
        "an unknown key": "no_such_key: 1\n",
        "a bomb of references": bomb,
        "a bomb of references in a key": bomb + "labels: *a59\nlosses: *a59\nloss: *a59\n",
        "a reference to itself": "labels: &a {b: *a}\nloss: &b {sum: *b}\n",
        "deep": "labels: " + "[" * DEEP,
        "deep mappings": "{a: " * DEEP,
        "an object of Python": f"labels: !!python/object/apply:os.mkdir [{ESCAPED}]\n",
        "a module of Python": "labels: !!python/module:os\n",
        "a long number": f"size: [{'9' * 10_000}, 32]\nseed: {'9' * 10_000}\n",
        "a day that does not exist": "labels: 2001-99-99\nseed: 2001-99-99\n",
        "its own base": "base: {name}\n",
        "a base that never ends": "base: /dev/zero\n",
        "a base outside": f"base: ../../../{ESCAPED}.yaml\n",
        "a key twice": "size: [32, 32]\nsize: [32, 32]\nseed: 1\nseed: 1\n",
        "50000 keys": "\n".join(f"k{number}: 1" for number in range(50_000)),
        "a key that is a list": "? [a]\n: 1\n",
        "NaN": "blur_mm: .nan\nwindow_hu: [.nan, .nan]\ntraining: {dropout: .nan}\ntolerance_mm: .nan\n",
        "infinite": "blur_mm: .inf\nspacing_mm: [.inf, 1, 1]\ntraining: {learning_rate: .inf}\n",
        "binary": bytes(range(256)),
        "a zero byte": "seed: 1\0\n",
    }
    recipe = ("prep", "--data", "{all}/decathlon", "--recipe", "{in}/recipe.yaml", "--out", "{out}")
    config = ("fit", "--data", "{all}/decathlon", "--config", "{in}/config.yaml", "--out", "{out}")
    for name, command in (("recipe", recipe), ("config", config)):
        own = {
            what: text.replace("{name}", f"{name}.yaml") if isinstance(text, str) else text
            for what, text in texts.items()
        }
        yield from _all("settings", name, f"{name}.yaml", breaking.contents(own), (command,))
    texts = {
        "a size of terabytes": "size: [1000000, 1000000]\n",
        "voxels of a nanometre": "spacing_mm: [1.0e-6, 1.0e-6, 1.0e-6]\n",
        "a million slices": "slices: 100000000\nfit: stretch\n",
        "a mask outside": f"skull_strip: mask\nskull_strip_mask: ../../../{ESCAPED}/{{case}}.nii.gz\n",
        "a label that is not there": "labels: {a: [nothing]}\n",
        "a second map outside": f"second_map: {{path: /{ESCAPED}.nii.gz, values: {{1: 2}}}}\n",
    }
    yield from _all("settings", "recipe", "recipe.yaml", breaking.contents(texts), (recipe,))


def prepared() -> Iterator[Broken]:
    """Damaged and hostile prepared folders; preparation may repair some of them."""
    case = "cases/abdomen_001"
    arrays = {
        "pickled": breaking.npy(),
        "of terabytes": breaking.npy(np.zeros(4, np.float32), shape=(10**6, 10**4, 10**3)),
        "of text": breaking.npy(np.array(["text"])),
        "of one number": breaking.npy(np.array(1.0)),
    }
    for name, change in arrays.items():
        yield Broken(f"prepared: image.npy {name}", "prepared", f"{case}/image.npy", change, (FIT,))
    for file in ("image.npy", "label.npy"):
        yield from _all("prepared", file, f"{case}/{file}", islice(breaking.cuts(100), 0, 6, 2), (FIT,))
    yield from _all("prepared", "case.json", f"{case}/case.json", breaking.cuts(100), (PREP_AGAIN,), may_pass=True)
    masks = "masks/abdomen_001.npz"
    again = (PREP_AGAIN,)
    changes = {"pickled member": breaking.zipped({"bits.npy": breaking.pickled()})}
    changes["member that leaves the folder"] = breaking.zipped({f"../../../{ESCAPED}.npy": b"text"})
    for name, change in changes.items():
        yield Broken(f"prepared: kept mask, {name}", "prepared", masks, change, again, may_pass=True)
    yield from _all("prepared", "kept mask", masks, breaking.cuts(100), again, may_pass=True)
    yield from _all("prepared", "kept mask", masks, breaking.flips(masks, 0, 200, 3), again, may_pass=True)
    bad = {"empty": "", "half": '{"a": ', "a list": "[]", "binary": bytes(range(256)), "deep": "[" * DEEP}
    for file in ("index.csv", "dataset.json", "recipe.yaml"):
        yield from _all("prepared", file, file, breaking.contents(bad), (FIT, PREP_AGAIN), {"empty"})


def runs() -> Iterator[Broken]:
    """Damaged and hostile run folders, networks and comparisons."""
    bad = {"empty": "", "half": '{"a": ', "a list": "[]", "binary": bytes(range(256)), "deep": "[" * DEEP}
    for file in ("config.yaml", "environment.json", "splits.json", "scores.csv", "summary.csv", "fold_0/fold.json"):
        yield from _all("run", file, file, islice(breaking.contents(bad), 0, 5, 2), (REPORT,), {"empty"})
    elsewhere = json.dumps({"prepared": f"../../{ESCAPED}"})
    yield from _all(
        "run", "environment.json", "environment.json", breaking.contents({"elsewhere": elsewhere}), (EXPORT, REPORT)
    )
    history = "fold_0/history.csv"
    yield from _all("run", history, history, breaking.contents({"text": "a,b\nc\n"}), (REPORT,))
    network = "fold_0/best.keras"
    lambda_ = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "trap", "function": _lambda()}}
    layers = {
        "a lambda": lambda_,
        "a function of os": {"module": "os", "class_name": "system", "config": {"command": f"mkdir {ESCAPED}"}},
        "a builtin": {
            "module": "builtins",
            "class_name": "exec",
            "config": {"source": f"import os; os.mkdir('{ESCAPED}')"},
        },
        "a list": [],
    }
    for name, layer in layers.items():
        change = breaking.zipped({"config.json": _with_layer(layer)})
        yield Broken(f"run: {name} in best.keras", "run", network, change, (EXPORT,))
    members = {
        "weights that are no HDF5": {"model.weights.h5": b"text"},
        "weights that are a pickle": {"model.weights.h5": breaking.pickled()},
        "a deep description": {"config.json": b"[" * DEEP},
        "a description that is no text": {"config.json": bytes(range(256))},
    }
    for name, held in members.items():
        yield Broken(f"run: {name} in best.keras", "run", network, breaking.zipped(held), (EXPORT,))
    escape = breaking.zipped({f"../../../{ESCAPED}": b"text", f"/tmp/{ESCAPED}": b"text"})
    yield Broken("run: members outside in best.keras", "run", network, escape, (EXPORT,))
    yield Broken(
        "run: nothing but a pickle in best.keras", "run", network, breaking.zipped({"a": b"b"}, keep=False), (EXPORT,)
    )
    yield from _all("run", "best.keras", network, islice(breaking.cuts(100), 0, 6, 2), (EXPORT,))
    yield from _all("run", "best.keras", network, breaking.flips(network, 100, -8, 3), (EXPORT,), may_pass=True)
    for file in ("study.yaml", "scores.csv", "splits.json"):
        written_anew = file == "scores.csv"  # from those of the runs
        changes = islice(breaking.contents(bad), 1, 4, 2)
        yield from _all("comparison", file, file, changes, (REPORT,), may_pass=written_anew)
    nothing = breaking.contents({"as it is": ""})
    yield from _all("comparison", "a comparison to export", "nothing", nothing, (EXPORT,))


def _with_layer(layer: object) -> Change:
    def change(description: bytes) -> bytes:
        network = json.loads(description)
        network["config"]["layers"][1] = layer
        return json.dumps(network).encode()

    return change  # type: ignore[return-value]


def _lambda() -> dict[str, object]:
    import base64
    import marshal

    code = compile(f"lambda x: __import__('os').mkdir('{ESCAPED}')", "trap", "eval").co_consts[0]
    held = {"code": base64.b64encode(marshal.dumps(code)).decode(), "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": held}


def _all(
    sound: str,
    what: str,
    file: str,
    changes: Named,
    commands: tuple[tuple[str, ...], ...],
    harmless: set[str] = frozenset(),  # type: ignore[assignment]
    may_pass: bool = False,
) -> Iterator[Broken]:
    for name, change in changes:
        yield Broken(f"{sound}: {what}: {name}", sound, file, change, commands, may_pass or name in harmless)
