"""`RunConfig`: the settings of one training run, as frozen and validated data."""

import itertools
import math
import reprlib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lab import activations
from lab.activations import FloatArray
from lab.census import units
from lab.errors import InputError, unknown
from lab.layout import CLASSES, IMAGE_SHAPE, MOST_WEIGHTS

Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
]
MOST_CLASSES, MOST_PIXELS, MOST_MEMBERS = 10_000, 1024, 10
MOST_EPOCHS, LARGEST_SEED = 10_000, 2**32 - 1
Units = Annotated[int, Field(ge=1, le=8192)]
Filters = Annotated[int, Field(ge=1, le=512)]
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Count = Annotated[int, Field(ge=1)]
Classes = Annotated[int, Field(ge=2, le=MOST_CLASSES)]
# -0.0 becomes 0.0, so that equal settings have one identity.
Number = Annotated[float, AfterValidator(lambda value: value + 0.0)]
FEWEST_CLASSES_TO_PAIR = 4
FEWEST_REPLACED, MOST_REPLACED = 1e-6, 0.01
ADAMW_DECAY = 0.004  # As Keras has it.
# The settings that describe a built-in network, with their values where none is given.
SHAPES: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (512, 512)},
    "cnn": {"hidden": (64,), "filters": (16, 32)},
    "deep": {"hidden": (128,), "depth": 8},
}
# The networks of the user's own that are registered, each with the SHA-256 of its source.
OWN_NETWORKS: dict[str, str] = {}


def _later(default: Any, **about: Any) -> Any:
    """Makes a field that older runs do not have: at its default it is not part of the identity."""
    return Field(default, exclude_if=lambda value: value == default, **about)


def _up_to(default: float | None, most: float, title: str) -> Any:
    """Makes a later field for a number from 0 to a largest one."""
    return _later(default, ge=0, le=most, title=title, description=f"a number from 0 to {most:,}")


def _below_one(default: float, title: str) -> Any:
    """Makes a later field for a number from 0 to below 1."""
    return _later(default, ge=0, lt=1, title=title, description="a number from 0 to below 1")


class RunConfig(BaseModel):
    """The settings of one training run: what is trained and what is recorded of it.

    The defaults are the textbook's experiment. A config is frozen and hashable. A field's `title`
    says what it means and its `description` which values it takes; for a bad value an `InputError`
    says both in one sentence.

    >>> RunConfig(activation="leaky_relu=0.1", seed=3).parameter
    0.1
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False
    )

    activation: str = Field(
        "relu", title="activation function of the hidden layers", description="a registered name"
    )
    parameter: float | None = Field(
        None, title="the activation function's parameter", description="a finite number"
    )
    hidden: tuple[Units, ...] = Field(
        (512, 512),
        max_length=64,
        title="units of each dense hidden layer",
        description="1 to 64 whole numbers from 1 to 8,192",
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        "adam", title="optimiser", description="adam, adamw, sgd or rmsprop"
    )
    momentum: Number = Field(
        0.0, ge=0, lt=1, title="momentum of SGD", description="a number from 0 to below 1"
    )
    learning_rate: float = Field(
        0.001, ge=1e-12, le=1000, title="learning rate", description="a number from 1e-12 to 1,000"
    )
    initializer: Initializer = Field(
        "glorot_uniform",
        title="distribution of the first weights",
        description="glorot, he or lecun, with _uniform or _normal (such as he_normal)",
    )
    first_bias: Number = Field(
        0.0,
        ge=-1000,
        le=1000,
        title="first bias of every hidden unit",
        description="a number from -1,000 to 1,000",
    )
    batch_size: int = Field(
        128,
        ge=1,
        le=70_000,
        title="images per training step",
        description="a whole number from 1 to the number of training images",
    )
    epochs: int = Field(
        10,
        ge=1,
        le=MOST_EPOCHS,
        title="passes over the training images",
        description=f"a whole number from 1 to {MOST_EPOCHS:,}",
    )
    seed: int = Field(
        0,
        ge=0,
        le=LARGEST_SEED,
        title="fixes the first weights and the order of the batches",
        description=f"a whole number from 0 to {LARGEST_SEED:,}",
    )
    validation_split: float = Field(
        0.2,
        gt=0,
        lt=1,
        title="share of the training data, its last part, kept for validation",
        description="a number between 0 and 1, both excluded",
    )
    train_size: int | None = Field(
        None,
        ge=10,
        title="images to train on (default: all that are not kept for validation)",
        description="a whole number from 10 to the number of images not kept for validation",
    )
    probe_size: Count | Literal["all"] = Field(
        10_000,
        title="training images on which the units are observed",
        description="a whole number of at least 1, or 'all'",
    )
    keep_weights: Literal["last", "every", "none"] = Field(
        "last", title="which epochs' weights are kept", description="last, every or none"
    )
    network: str = _later(
        "mlp",
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        title="which network is trained",
        description="mlp, cnn, deep or the name of a network of your own",
    )
    network_sha256: str | None = _later(
        None,
        pattern=r"^[0-9a-f]{64}$",
        title="which source a user's own network has; set by the lab",
        description="64 hexadecimal digits, and only for a network of your own",
    )
    filters: tuple[Filters, ...] = _later(
        (),
        max_length=8,
        title="channels of each convolution of the cnn",
        description="1 to 8 whole numbers from 1 to 512",
    )
    depth: int = _later(
        0,
        ge=0,
        le=64,
        title="hidden layers of the deep network",
        description="a whole number from 2 to 64",
    )
    normalization: Literal["none", "batch", "layer"] = _later(
        "none",
        title="what normalises the pre-activations",
        description="none, batch or layer",
    )
    dropout: Number = _below_one(
        0.0,
        "share of the activations set to 0 in each training step",
    )
    weight_decay: Number | None = _up_to(
        None,
        100,
        "decay of the weights in each step, times the learning rate, apart from the gradient",
    )
    nesterov: bool = _later(False, title="Nesterov's form of momentum", description="true or false")
    clip_norm: Number = _later(
        0.0,
        ge=0,
        le=1e6,
        title="largest norm of all gradients together; larger ones are scaled down",
        description="a number from 0 (no limit) to 1,000,000",
    )
    label_smoothing: Number = _below_one(
        0.0,
        "share of the target that is spread evenly over all classes",
    )
    warmup: Number = _below_one(
        0.0,
        "share of the steps in which the learning rate rises from 0",
    )
    schedule: Literal["constant", "cosine", "step"] = _later(
        "constant",
        title="how the learning rate goes on after the warm-up",
        description="constant, cosine (falls to 0) or step (a tenth from 1/2 and from 3/4 on)",
    )
    input_scale: Literal["unit", "symmetric", "standard"] = _later(
        "unit",
        title="how pixels enter the network",
        description="unit (0 to 1), symmetric (-1 to 1) or standard (mean 0, deviation 1)",
    )
    l2: Number = _up_to(
        0.0,
        100,
        "strength of a pull of all weights toward 0: it times the sum of their squares is "
        "added to the loss",
    )
    l2_init: Number = _up_to(
        0.0,
        100,
        "strength of a pull toward the first weights: it times the sum of the squared "
        "distances is added to the loss",
    )
    tasks: Literal["none", "permuted", "shuffled_labels", "class_pairs", "datasets"] = _later(
        "none",
        title="what changes from task to task, if tasks are learned one after the other",
        description="none, permuted (pixels), shuffled_labels, class_pairs or datasets (in turn)",
    )
    task_epochs: int = _later(
        1,
        ge=1,
        le=MOST_EPOCHS,
        title="epochs of each task",
        description=f"a whole number from 1 to {MOST_EPOCHS:,}",
    )
    shrink: Number = _up_to(
        1.0,
        1,
        "what all weights are multiplied by before each later task",
    )
    perturb: Number = _up_to(
        0.0,
        1,
        "share of a fresh network's weights that is added before each later task",
    )
    redo_steps: int = _later(
        0,
        ge=0,
        le=1_000_000_000,
        title="steps from one reset of dormant units to the next (ReDo)",
        description="a whole number from 0 (never) to 1,000,000,000",
    )
    redo_threshold: Number = _below_one(
        units.DORMANT_TAU,
        "share of its layer's mean |a| up to which ReDo takes a unit for dormant",
    )
    replacement_rate: Number = _later(
        0.0,
        ge=0,
        le=MOST_REPLACED,
        title="share of a layer's mature units that each step replaces (continual backprop)",
        description=f"0, or a number from {FEWEST_REPLACED:g} to {MOST_REPLACED:g}",
    )
    maturity: int = _later(
        100,
        ge=0,
        le=1_000_000,
        title="steps until continual backprop may replace a unit",
        description="a whole number from 0 to 1,000,000",
    )
    image_shape: tuple[Pixels, ...] = _later(
        IMAGE_SHAPE,
        min_length=2,
        max_length=3,
        title="shape of an image; set by the lab",
        description="height and width in pixels from 1 to 1,024, and channels if there are any",
    )
    classes: Classes = _later(
        CLASSES,
        title="number of classes; set by the lab",
        description=f"a whole number from 2 to {MOST_CLASSES:,}",
    )
    members: tuple[Classes, ...] = _later(
        (),
        max_length=MOST_MEMBERS,
        title="number of classes of each data set that tasks show in turn; set by the lab",
        description=f"up to {MOST_MEMBERS} whole numbers from 2, and only where tasks is datasets",
    )
    pixels: tuple[float, float] | None = _later(
        None,
        title="mean and deviation of the training pixels in 0 to 1; set by the lab",
        description="two numbers, and only where input_scale is standard",
    )
    source_sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        title="which source a user's own activation function has; set by the lab",
        description="64 hexadecimal digits, and only for a user's own activation function",
    )

    def __init__(self, /, **settings: Any) -> None:
        """Validates the settings; see the class for their names and defaults."""
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise InputError(_sentence(error, settings)) from None

    @model_validator(mode="before")
    @classmethod
    def _split_activation(cls, settings: Any) -> Any:
        """Accepts `activation="leaky_relu=0.1"` and fills in the parameter's default.

        A user's own function that comes with its source's SHA-256 need not be registered here.
        """
        if not isinstance(settings, dict) or settings.get("source_sha256") is not None:
            return settings
        name, parameter = activations.parse(str(settings.get("activation", "relu")))
        activation, given = activations.get(name), settings.get("parameter")
        resolved = activation.resolve(parameter if given is None else given)
        if parameter is not None and parameter != resolved:
            raise InputError(
                f"parameter must be the one in activation={settings['activation']!r} "
                f"or be left out, not {given!r}."
            )
        own = activation.source_sha256
        return settings | {"activation": name, "parameter": resolved, "source_sha256": own}

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, settings: Any) -> Any:
        """Fills in what a network and an optimiser have where nothing else is given."""
        if not isinstance(settings, dict):
            return settings
        network = str(settings.get("network", "mlp"))
        shape = SHAPES.get(network, {"hidden": (), "network_sha256": OWN_NETWORKS.get(network)})
        if settings.get("optimizer") == "adamw" and settings.get("weight_decay") is None:
            settings = settings | {"weight_decay": ADAMW_DECAY}
        return shape | settings

    @field_validator("weight_decay")
    @classmethod
    def _none_is_none(cls, decay: float | None, others: ValidationInfo) -> float | None:
        """Gives a run without decay one identity: 0 means something only for AdamW."""
        return decay if decay or others.data.get("optimizer") == "adamw" else None

    @model_validator(mode="after")
    def _check_together(self) -> "RunConfig":
        own = self.source_sha256 is not None
        if own and (self.parameter is not None or not activations.is_own_name(self.activation)):
            raise InputError(
                f"source_sha256 must be left out for the activation {self.activation!r}: it is "
                f"for a user's own function, which has a name of its own and no parameter."
            )
        self._check_optimizer()
        self._check_network()
        self._check_tasks()
        self._check_resets()
        return self

    def _check_resets(self) -> None:
        if self.redo_threshold != units.DORMANT_TAU and not self.redo_steps:
            raise InputError(
                f"redo_threshold must be left out unless redo_steps is given, "
                f"not {self.redo_threshold:g}."
            )
        if self.maturity != RunConfig.model_fields["maturity"].default and not (
            self.replacement_rate
        ):
            raise InputError(
                f"maturity must be left out unless replacement_rate is given, "
                f"not {self.maturity:,}."
            )
        if 0 < self.replacement_rate < FEWEST_REPLACED:
            described = RunConfig.model_fields["replacement_rate"].description
            raise InputError(
                f"replacement_rate must be {described}, not {self.replacement_rate:g}."
            )
        if self.redo_steps and self.replacement_rate:
            raise InputError(
                f"redo_steps must be 0 with a replacement_rate, not {self.redo_steps:,}: both "
                f"reset units."
            )
        dense = self.network == "mlp" and self.normalization == "none" and not self.shapes_network
        for name in ("redo_steps", "replacement_rate"):
            if getattr(self, name) and not dense:
                raise InputError(
                    f"{name} must be 0, not {getattr(self, name):,}, unless the network is an mlp "
                    f"without normalization and its activation function neither prelu nor crelu."
                )

    def _check_tasks(self) -> None:
        if self.tasks == "none" and self.task_epochs != 1:
            raise InputError(
                f"task_epochs must be left out where tasks is none, not {self.task_epochs:,}: "
                f"choose tasks, such as permuted."
            )
        for name, left in (("shrink", 1.0), ("perturb", 0.0)):
            if self.tasks == "none" and getattr(self, name) != left:
                raise InputError(
                    f"{name} must be left out where tasks is none, not {getattr(self, name):g}: "
                    f"it comes before each task but the first."
                )
        if self.epochs % self.task_epochs:
            raise InputError(
                f"task_epochs must be a divisor of epochs, {self.epochs:,}, so that all tasks are "
                f"whole, not {self.task_epochs:,}."
            )
        if self.tasks == "class_pairs" and self.classes < FEWEST_CLASSES_TO_PAIR:
            raise InputError(
                f"tasks must not be class_pairs where there are {self.classes} classes: "
                f"it takes at least {FEWEST_CLASSES_TO_PAIR}, for two pairs."
            )
        if self.members and (self.tasks != "datasets" or sum(self.members) != self.classes):
            raise InputError(
                f"members must be left out unless tasks is datasets, and else add up to classes, "
                f"{self.classes:,}, not be {self.members}."
            )

    def _check_optimizer(self) -> None:
        if self.momentum and self.optimizer != "sgd":
            raise InputError(f"momentum must be 0 unless optimizer is sgd, not {self.momentum}.")
        if self.nesterov and not self.momentum:
            raise InputError("nesterov must be false unless optimizer is sgd with a momentum.")
        if self.weight_decay and self.optimizer == "adam":
            raise InputError(
                f"weight_decay must be 0 where optimizer is adam, not {self.weight_decay}: "
                f"Adam with it is adamw."
            )
        if self.input_scale != "standard" and self.pixels:
            raise InputError("pixels must be left out unless input_scale is standard.")

    def _check_network(self) -> None:
        """Checks the settings that describe a network: it has its own, and no other's."""
        for name in ("hidden", "filters", "depth"):
            value, has_it = getattr(self, name), name in SHAPES.get(self.network, {})
            if value and not has_it:
                of = " or ".join(network for network, shape in SHAPES.items() if name in shape)
                raise InputError(
                    f"{name} must be left out for the network {self.network!r}, not {value}: "
                    f"it is for {of}."
                )
            if has_it and (not value or (name, value) == ("depth", 1)):
                raise InputError(
                    f"{name} must be {RunConfig.model_fields[name].description}, not {value}."
                )
        if self.network == "deep" and len(self.hidden) != 1:
            raise InputError(
                f"hidden must be one width for the network 'deep', not {self.hidden}: "
                f"depth says how many layers have it."
            )
        if self.weights > MOST_WEIGHTS:
            raise InputError(
                f"hidden must give a network of at most {MOST_WEIGHTS:,} weights, "
                f"not {self.weights:,} as {self.hidden} does."
            )
        (self._check_built_in if self.network in SHAPES else self._check_own)()

    def _check_built_in(self) -> None:
        if self.network_sha256:
            raise InputError(
                f"network_sha256 must be left out for the network {self.network!r}: "
                f"it is for a network of your own."
            )
        if self.first_bias and self.normalization != "none":
            raise InputError(
                f"first_bias must be 0 with normalization, not {self.first_bias}: "
                f"it takes any bias out again."
            )
        self._check_pairs()

    def _check_pairs(self) -> None:
        """Checks what units in pairs need."""
        if not self.pairs_units:
            return
        if self.first_bias:
            raise InputError(
                f"first_bias must be 0 with {self.activation}, not {self.first_bias}: what opens "
                f"one unit of a pair closes the other."
            )
        for name in ("hidden", "filters"):
            if any(width % 2 for width in getattr(self, name)):
                raise InputError(
                    f"{name} must be even numbers with {self.activation}, whose units come in "
                    f"pairs, not {getattr(self, name)}."
                )

    def _check_own(self) -> None:
        if self.normalization != "none" or self.dropout:
            name = "dropout" if self.dropout else "normalization"
            raise InputError(
                f"{name} must be left out for the network {self.network!r}: "
                f"a network of your own has such layers in its source."
            )
        if self.shapes_network:
            needs = "slopes that are learned" if self.learns_slopes else "units in pairs"
            raise InputError(
                f"activation must not be {self.activation} for the network {self.network!r}: "
                f"only {', '.join(SHAPES)} have places for {needs}."
            )

    @property
    def is_textbook(self) -> bool:
        """Whether trained weights and pixels go only through the textbook's dense layers."""
        plain = (self.network, self.normalization, self.input_scale) == ("mlp", "none", "unit")
        return plain and not self.shapes_network

    @property
    def task_count(self) -> int:
        """How many tasks it learns; 1 if `tasks` is none."""
        return 1 if self.tasks == "none" else self.epochs // self.task_epochs

    def task_at(self, epoch: int) -> int:
        """Returns the task that an epoch belongs to, from 1; the untrained network is in the first.

        >>> [RunConfig(tasks="permuted", task_epochs=5).task_at(epoch) for epoch in (0, 5, 6)]
        [1, 1, 2]
        """
        return 1 if self.tasks == "none" else max(epoch - 1, 0) // self.task_epochs + 1

    def epoch_words(self, epoch: int) -> str:
        """Returns what to call an epoch: its number, and its task if there are tasks.

        >>> [RunConfig(tasks="permuted", task_epochs=n).epoch_words(8) for n in (1, 5)]
        ['task 8', 'epoch 8 (task 2)']
        """
        if self.tasks == "none" or not epoch:
            return f"epoch {epoch}"
        if self.task_epochs == 1:
            return f"task {epoch}"
        return f"epoch {epoch} (task {self.task_at(epoch)})"

    @property
    def shrinks_or_perturbs(self) -> bool:
        """Whether weights are shrunk or perturbed before each later task."""
        return (self.shrink, self.perturb) != (1.0, 0.0)

    @property
    def resets_weights(self) -> bool:
        """Whether anything but steps of the optimiser changes weights."""
        return bool(self.redo_steps or self.replacement_rate or self.shrinks_or_perturbs)

    def begins_task(self, epoch: int) -> bool:
        """Tells whether an epoch is the first of a task, but not of the first one."""
        return epoch > 1 and self.task_at(epoch) > self.task_at(epoch - 1)

    @property
    def learns_slopes(self) -> bool:
        """Whether the activation function has a trained parameter for each unit."""
        return self.source_sha256 is None and activations.get(self.activation).learned

    @property
    def pairs_units(self) -> bool:
        """Whether the units of its hidden layers come in pairs with one weight vector."""
        return self.source_sha256 is None and activations.get(self.activation).paired

    @property
    def shapes_network(self) -> bool:
        """Whether the activation function decides which arrays the network has."""
        return self.learns_slopes or self.pairs_units

    @property
    def size(self) -> str:
        """The network in short: of an MLP, the units of every layer, 784-512-512-10."""
        if self.network == "mlp":
            return "-".join(map(str, (math.prod(self.image_shape), *self.hidden, self.classes)))
        if self.network == "deep":
            return f"deep {self.depth} × {self.hidden[0]}"
        if self.network == "cnn":
            return f"cnn {'-'.join(map(str, (*self.filters, *self.hidden)))}"
        return self.network + (f" #{self.network_sha256[:4]}" if self.network_sha256 else "")

    def layer_words(self, layer: int) -> str:
        """Returns what to call a hidden layer, from 1: its number, and its kind where they differ.

        >>> RunConfig(network="cnn").layer_words(3)
        'layer 3 · dense_1'
        """
        before = len(self.filters)
        if not before:
            return f"layer {layer}"
        kind = f"conv_{layer}" if layer <= before else f"dense_{layer - before}"
        return f"layer {layer} · {kind}"

    @property
    def weights(self) -> int:
        """How many kernels' weights and biases a built-in network has (669,706 by default)."""
        of_one = 1 + self.pairs_units  # Units of one weight vector.
        height, width, *channels = self.image_shape
        planes = (math.prod(channels), *self.filters)
        for _ in self.filters:
            height, width = -(-height // 2), -(-width // 2)
        widths = (height * width * planes[-1], *self.hidden * max(self.depth, 1))
        convolutions = sum((9 * a + 1) * (b // of_one) for a, b in itertools.pairwise(planes))
        dense = sum((a + 1) * (b // of_one) for a, b in itertools.pairwise(widths))
        return convolutions + dense + (widths[-1] + 1) * self.classes

    @property
    def title(self) -> str:
        """The activation function's label with its parameter, or the mark of its source."""
        if self.source_sha256:
            return f"{self.activation} #{self.source_sha256[:4]}"
        return activations.get(self.activation).title(self.parameter)

    @property
    def function(self) -> activations.Activation:
        """The activation function, as it is registered.

        Raises:
            InputError: If it is a user's own that is not registered here, or not with this source.
        """
        known = self.activation in activations.names()
        found = activations.get(self.activation) if known else None
        if found is None or found.source_sha256 != self.source_sha256:
            state = "registered here with another source" if found else "not registered here"
            raise InputError(
                f"The activation function {self.activation!r} is {state}. Register the one of "
                f"this run first: lab.register({self.activation!r}, function)."
            )
        return found

    @property
    def alpha(self) -> float:
        """The parameter as every activation function takes it: 0 if it has none."""
        return self.parameter or 0.0

    def f(self, z: FloatArray) -> FloatArray:
        """Returns the activations of pre-activations z, with NumPy, of their shape and type."""
        return self.function.function(z, self.alpha)

    def gate(self, z: FloatArray) -> FloatArray:
        """Returns the gates of pre-activations z, with NumPy, of their shape and type."""
        return self.function.derivative(z, self.alpha)


def _sentence(error: ValidationError, settings: dict[str, Any]) -> str:
    """Turns pydantic's report into one sentence: the field, its limits, the value."""
    first = error.errors()[0]
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    name = str(first["loc"][0]) if first["loc"] else str(first["input"])
    if name not in RunConfig.model_fields:
        return str(unknown("setting", name, RunConfig.model_fields))
    try:
        value = reprlib.repr(settings[name])
    except ValueError:  # Python does not write an int of more than 4,300 digits.
        value = "a number of thousands of digits"
    return f"{name} must be {RunConfig.model_fields[name].description}, not {value}."
