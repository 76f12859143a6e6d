"""The networks of a run as a model that knows which subjects each network has seen."""

from collections.abc import Collection
from functools import cache, partial
from pathlib import Path

from tfseg.config.config import load_config
from tfseg.core.errors import ConfigError
from tfseg.core.folds import fold_of
from tfseg.models.imported import check_trusted, load_network
from tfseg.prediction.clean_up import CleanUp, parse_clean_up
from tfseg.prediction.description import describe
from tfseg.prediction.dropout import Passes, dropout_passes, has_dropout
from tfseg.prediction.ensemble import Member
from tfseg.prediction.forward import Forward, compiled_forward
from tfseg.prediction.model import Model
from tfseg.prediction.temperature import Temperature
from tfseg.runs.folder import final_network_of, networks_of, open_prepared, read_folds, read_json


def model_of(run: Path, fold: int | None = None, final: bool = False, trusted: Collection[str] = ()) -> Model:
    """Return the networks of a run's finished folds, that of one fold, or the final one, as a model.

    A network has seen the subjects that it was trained on and those that chose its epoch.

    Raises:
        ConfigError: if the run or the fold is not finished, there is no final network, or a function that is not in
            `trusted` builds its networks.
        RunError: if the run, or the folder that it was trained on, is damaged.
    """
    networks = [final_network_of(run)] if final else networks_of(run, fold)
    for network in networks:
        check_trusted(network, trusted)
    prepared = open_prepared(run)
    warnings: tuple[str, ...] = ()
    if final:
        seen = {networks[0]: ("the final network", prepared.subjects)}
    else:
        splits, folds = read_folds(run), {network: fold_of(network) for network in networks}
        seen = {each: (f"fold {k}", [*splits[k]["train"], *splits[k]["val"]]) for each, k in folds.items()}
        if fold is None and len(networks) < len(splits):
            warnings = (f"{run}: {len(networks)} of {len(splits)} folds are finished; only their networks predict",)
    members = [
        Member(
            name,
            frozenset(subjects),
            cache(partial(_forward, network, trusted)),
            _clean_up_of(network),
            cache(partial(_passes, network, trusted)),
            _temperature_of(network, prepared.targets.activation),
        )
        for network, (name, subjects) in seen.items()
    ]
    description = describe(prepared, load_config(run / "config.yaml").training)
    return Model(run.resolve().name, description, tuple(members), tuple(seen), warnings)


def _forward(network: Path, trusted: Collection[str]) -> Forward:
    return compiled_forward(load_network(network, trusted))


def _passes(network: Path, trusted: Collection[str]) -> Passes:
    loaded = load_network(network, trusted)
    if not has_dropout(loaded):
        raise ConfigError(
            f"--mc-samples: {network} has no dropout, so all of its passes are the same; train with model.dropout, or "
            "take networks of several seeds: tfseg predict CMP --arm NAME --uncertainty"
        )
    return dropout_passes(loaded)


def _clean_up_of(network: Path) -> CleanUp:
    """The rules that a fold chose on its validation subjects; none of the final network, which has no such subjects."""
    described = network.with_name("fold.json")
    return parse_clean_up(read_json(described).get("clean_up", "none") if described.is_file() else "none")


def _temperature_of(network: Path, activation: str) -> Temperature | None:
    """The temperature that was fitted on a fold's validation subjects; none of the final network."""
    described = network.with_name("fold.json")
    values = read_json(described).get("temperature") if described.is_file() else None
    return Temperature(tuple(values), activation) if values else None
