"""Break sound inputs in hundreds of ways, and check that every command refuses them in one line.

    python benchmarks/broken_inputs.py
    python benchmarks/broken_inputs.py --few
    python benchmarks/broken_inputs.py --without-tensorflow

Sound inputs of every layout and file kind are made from phantoms. One file of each is broken, and `inspect`, `prep`,
`score`, `fit --prepared`, `report` and `export` are run on it, each in a process of its own. A command must end with
exit code 1 or 2 and one line that does not call it a fault of tfseg, within 30 s of processor time and 1 GiB more
memory than on the sound input; it leaves nothing half-written, changes no file outside its output folder, and runs
nothing that an input brings. Damage that may be harmless may also be read. The exit code is 1 if a check failed.
"""

import argparse
import importlib
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import isolated
from broken_catalogue import EXPORT, FIT, LABEL, REPORT, Broken, every, few
from isolated import MEMORY_BYTES, SECONDS, Outcome
from sound_inputs import SOUND

MEMORY_WORDS = ("MemoryError", "Unable to allocate", "bad_alloc", "Failed to allocate", "Insufficient memory")
UNFINISHED = ".unfinished-"
MODULES = (
    *("tfseg.cli.datasets", "tfseg.cli.scoring", "tfseg.config.config", "tfseg.datasets.inspection"),
    *("tfseg.preparation.prepare", "tfseg.preparation.recipe", "tfseg.prepared.prepared"),
    *("cv2", "pydicom.filereader", "scipy.ndimage", "skimage.filters", "SimpleITK"),
)
TENSORFLOW_MODULES = ("matplotlib.font_manager", "tfseg.cli.outputs", "tfseg.cli.train")
TENSORFLOW = (FIT, EXPORT, REPORT)


def main() -> None:
    """Break, run, check, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true", help="some inputs of many kinds, without TensorFlow")
    parser.add_argument("--without-tensorflow", action="store_true", help="leave out what needs TensorFlow")
    parser.add_argument("--only", default="", help="inputs with this in their name")
    parser.add_argument("--sound", type=Path, help="keep the sound inputs in this folder, to use them again")
    options = parser.parse_args()
    inputs = [each for each in (few() if options.few else every()) if options.only in each.name]
    if options.without_tensorflow:
        inputs = [each for each in inputs if not set(each.commands) & set(TENSORFLOW)]
    failures: list[tuple[str, str, str]] = []
    counts = {"refused": 0, "read": 0}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        sound = options.sound or place / "sound"
        make_sound(sound, {each.sound for each in inputs})
        import_early(MODULES)
        usual_bytes: dict[tuple[str, tuple[str, ...]], int] = {}
        for number, broken in enumerate(inputs):
            if set(broken.commands) & set(TENSORFLOW):
                import_early(TENSORFLOW_MODULES)
            for command in broken.commands:
                key = (broken.sound, command)
                trains_or_refuses = command[0] == "fit" or key == ("comparison", EXPORT)
                if key not in usual_bytes and trains_or_refuses:
                    usual_bytes[key] = own_bytes()
                elif key not in usual_bytes:
                    outcome, wrong = try_command(None, broken.sound, command, sound, place)
                    usual_bytes[key] = outcome.peak_bytes
                    failures += report(f"{broken.sound}: sound", command, wrong)
                outcome, wrong = try_command(broken, broken.sound, command, sound, place, usual_bytes[key])
                counts["refused" if outcome.code in (1, 2) else "read"] += 1
                failures += report(broken.name, command, wrong)
            if number % 50 == 49:
                print(f"{number + 1} of {len(inputs)} inputs, {len(failures)} failures", flush=True)
    commands = sum(len(each.commands) for each in inputs)
    failed = len({(name, command) for name, command, _ in failures})
    print(
        f"{len(inputs)} broken inputs, {commands} commands: {counts['refused']} refused, {counts['read']} read; "
        f"{failed} failed a check"
    )
    sys.exit(bool(failures))


def report(name: str, command: tuple[str, ...], wrong: Iterable[str]) -> list[tuple[str, str, str]]:
    """Print what is wrong, and return it with what was tried."""
    failures = [(name, " ".join(command), each) for each in wrong]
    for _, _, each in failures:
        print(f"FAILED {name}: {command[0]}: {each}", flush=True)
    return failures


def own_bytes() -> int:
    """Peak memory of this process, which its forks begin with."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def make_sound(folder: Path, needed: Iterable[str]) -> None:
    """Make the sound inputs that are needed, unless they are there."""
    folder.mkdir(exist_ok=True)
    wanted = {"decathlon", "settings", *needed}
    if wanted & {"run", "comparison"}:
        wanted.add("prepared")
    for name in SOUND:
        if name in wanted and not (folder / name).exists():
            SOUND[name](folder / name)


def import_early(modules: Iterable[str]) -> None:
    """Import what commands need, so that their forked processes start at once."""
    for name in modules:
        importlib.import_module(name)


def try_command(
    broken: Broken | None, name: str, command: tuple[str, ...], sound: Path, place: Path, usual_bytes: int | None = None
) -> tuple[Outcome, list[str]]:
    """Run a command on a broken input, or on a sound one for comparison; return what is wrong with how it ended."""
    folder = place / "run"
    shutil.rmtree(folder, ignore_errors=True)
    given, out = folder / "given", folder / "out"
    shutil.copytree(sound / name, given, symlinks=True)
    if broken:
        file = given / broken.file
        if not file.parent.exists() or not file.exists():
            file.write_bytes(b"")
        broken.change(file)
    labels = str(Path(LABEL[name]).parent) if name in LABEL else ""
    places = {"{in}": given, "{out}": out, "{sound}": sound / name, "{all}": sound, "{labels}": labels}
    writes_into_given = "{out}" not in " ".join(command)
    arguments = [_filled(argument, places) for argument in command]
    before = files_of(folder)
    outcome = isolated.run(arguments, folder, [given if writes_into_given else out])
    after = files_of(folder)
    wrong = judge(outcome, broken is None or broken.may_pass, broken is None, usual_bytes)
    own = "given" if writes_into_given and command[0] != "inspect" else "out"
    wrong += [f"changed {path}" for path in changed(before, after) if not path.startswith(own)]
    if outcome.code:
        wrong += half_written(command, before, after)
    return outcome, wrong


def judge(outcome: Outcome, may_pass: bool, must_pass: bool, usual_bytes: int | None) -> list[str]:
    """Return what is wrong with the end of a command."""
    wrong = list(outcome.violations)
    lines = outcome.stderr.splitlines()
    if must_pass and outcome.code:
        return [f"exit code {outcome.code}: {lines[-1:]}"]
    if outcome.code not in (0, 1, 2):
        wrong.append(f"exit code {outcome.code}: {' | '.join(lines[-3:])}")
    elif outcome.code == 0 and not may_pass:
        wrong.append("not refused")
    elif outcome.code and len(lines) != 1:
        wrong.append(f"{len(lines)} lines: {' | '.join(lines)[:600]}")
    if "fault of tfseg" in outcome.stderr or "Traceback" in outcome.stderr:
        wrong.append(f"a fault of tfseg: {' | '.join(lines)[:600]}")
    if outcome.code == 0 and lines:
        wrong.append(f"printed {lines[:3]} on standard error")
    if outcome.seconds > SECONDS:
        wrong.append(f"took {outcome.seconds:.0f} s")
    if usual_bytes is not None and outcome.peak_bytes > usual_bytes + MEMORY_BYTES:
        wrong.append(f"took {(outcome.peak_bytes - usual_bytes) / 2**30:.1f} GiB more than usual")
    if any(word in outcome.stderr for word in MEMORY_WORDS):
        wrong.append(f"ran out of memory: {lines[-1:]}")
    return wrong


def files_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Size, time and kind of every file in a folder, by its path."""
    stats = {path.relative_to(folder).as_posix(): path.lstat() for path in folder.rglob("*")}
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_mode) for name, stat in stats.items() if name}


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Paths that appeared, vanished or changed; folders change when something in them does."""
    different = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return sorted(name for name in different if not any(other.startswith(f"{name}/") for other in different))


def half_written(command: tuple[str, ...], before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return what a command that failed should not have left: temporary files, locks, results of the whole."""
    new = [name for name in after if after[name] != before.get(name)]
    results = {
        "score": "scores.csv",
        "prep": "index.csv",
        "export": "out",
        "report": "report.html",
        "fit": "report.html",
    }
    left = [name for name in new if UNFINISHED in name or name.endswith((".lock", f"/{results.get(command[0])}"))]
    left += [name for name in new if command[0] == "export" and name == "out"]
    return [f"left {name}" for name in left]


def _filled(argument: str, places: Mapping[str, object]) -> str:
    for name, value in places.items():
        argument = argument.replace(name, str(value))
    return argument


if __name__ == "__main__":
    main()
