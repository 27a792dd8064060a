"""The record of a network that is trained outside the lab: what is known of it, as settings."""

import hashlib
import re
import secrets
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from lab import activations
from lab.activations import OwnActivation
from lab.errors import InputError
from lab.experiment import MOST_PIXELS, SHAPES, RunConfig
from lab.layout import Layout, Site
from lab.outside.probe import Probe
from lab.runs import Outside, Record
from lab.store import id_of
from lab.system import conditions

MOST_SOURCE = 19_000
# Names under which Keras and PyTorch know functions of the lab, with their own defaults.
ALSO = {"leakyrelu": "leaky_relu", "leaky_relu": "leaky_relu=0.2", "hardswish": "hard_swish"}
OPTIMIZERS = {"adam": "adam", "adamw": "adamw", "sgd": "sgd", "rmsprop": "rmsprop"}
TRAINING = ("learning_rate", "optimizer", "batch_size", "initializer", "seed", "validation_split")


def record_of(
    model: str,
    source: str,
    layout: Layout,
    unseen: dict[str, str],
    probe: Probe,
    *,
    seed: int | None = None,
    known: dict[str, Any] | None = None,
    every: int = 1,
    name: str | None = None,
    computed_on: dict[str, Any] | None = None,
) -> Record:
    """Returns the record of a run that begins.

    Args:
        model: The network's name.
        source: A description of the network, which distinguishes it from others.
        layout: Its activation sites and arrays.
        unseen: The layers that cannot be observed, with the reason.
        probe: What it is observed on.
        seed: A number that distinguishes its runs, and pairs them; by default a random one.
        known: Settings of the training that are known.
        every: How many epochs lie between two observations.
        name: What to call the probe; by default as the network.
        computed_on: The conditions under which it is computed; by default TensorFlow's.
    """
    function, own = _function(layout)
    known = known or {}
    settings = RunConfig(
        **function,
        **known,
        network=_plain(model),
        network_sha256=hashlib.sha256(source.encode()).hexdigest(),
        seed=secrets.randbelow(2**31) if seed is None else seed,
        **_image_shape(probe),
    )
    unknown = [setting for setting in TRAINING if setting not in known and setting != "seed"]
    unknown += ["seed"] if seed is None else []
    reasons = tuple(f"{layer}: {reason}"[:200] for layer, reason in unseen.items())
    return Record(
        run_id=id_of(settings, probe.digest),
        settings=settings,
        own_activation=own,
        own_network=source,
        network=layout,
        outside=Outside(model=model[:200], every=every, unknown=tuple(unknown), unseen=reasons),
        dataset=f"{(name or model)[:180]}, outside the lab",
        dataset_digest=probe.digest,
        train_images=probe.images,
        validation_images=probe.images,
        test_images=probe.images,
        probe_images=probe.images,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **(conditions() if computed_on is None else computed_on),
    )


def lab_name(called: str) -> str | None:
    """Returns the lab's name, with its parameter, of a function as a framework calls it.

    >>> lab_name("leakyrelu=0.1")
    'leaky_relu=0.1'
    """
    name, mark, parameter = called.partition("=")
    known = ALSO.get(name, name)
    if mark:
        known = f"{known.partition('=')[0]}={parameter}"
    try:
        found, _ = activations.parse(known)
    except InputError:  # Unknown, or with a parameter that the lab's function does not take.
        return None
    return None if found == "prelu" else found + "".join(known.partition("=")[1:])


def main_function(layout: Layout) -> str:
    """Returns the name of the function that most units have, as the framework calls it."""
    units: Counter[str] = Counter()
    for site in layout.sites:
        units[site.function or ""] += site.units
    return units.most_common(1)[0][0]


def _function(layout: Layout) -> tuple[dict[str, Any], OwnActivation | None]:
    """Returns the settings of the function that most units have, with its record if it is own."""
    called = main_function(layout)
    if name := lab_name(called):
        return {"activation": name}, None
    site = next(site for site in layout.sites if site.function == called)
    return _own(called, site)


def _own(called: str, site: Site) -> tuple[dict[str, Any], OwnActivation]:
    source = f"{called}: a function of a network that was trained outside the lab"
    sup_gate = float("nan") if site.sup_gate is None else site.sup_gate
    digest = hashlib.sha256(source.encode()).hexdigest()
    name = _plain(called)
    own = name if activations.is_own_name(name) else f"{name}_outside"[-40:]
    settings = {"activation": own, "source_sha256": digest}
    return settings, OwnActivation(source=source, sup_gate=sup_gate)


def _plain(text: str) -> str:
    """Returns a name that settings can hold, and that no network of the lab has."""
    name = re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:34] or "network"
    name = name if name[0].isalpha() else f"n_{name}"
    return f"{name}_own" if name in SHAPES else name


def _image_shape(probe: Probe) -> dict[str, Any]:
    shape = probe.shape or ()
    is_image = len(shape) in (2, 3) and max(shape, default=0) <= MOST_PIXELS
    return {"image_shape": shape} if is_image else {}


def described(text: str) -> str:
    """Returns a description that a record can hold: itself, or its beginning and its digest."""
    clean = "\n".join(
        "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
        for line in text.splitlines()
    )
    if len(clean) <= MOST_SOURCE:
        return clean
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    return f"{clean[:MOST_SOURCE]}\n… SHA-256 of the whole: {digest}"
