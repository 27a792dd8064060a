"""`RunConfig`: the settings of one training run, as frozen and validated data."""

import reprlib
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab import activations
from lab.activations import FloatArray
from lab.errors import InputError, unknown
from lab.layout import MOST_WEIGHTS, mlp

Initializer = Literal[
    "glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"
]
Units = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1)]
# -0.0 becomes 0.0, so that equal settings have one identity.
Number = Annotated[float, AfterValidator(lambda value: value + 0.0)]


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
        min_length=1,
        max_length=64,
        title="units of each hidden layer",
        description="1 to 64 whole numbers from 1 to 8,192",
    )
    optimizer: Literal["adam", "sgd"] = Field("adam", title="optimiser", description="adam or sgd")
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
        le=10_000,
        title="passes over the training images",
        description="a whole number from 1 to 10,000",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        title="fixes the first weights and the order of the batches",
        description="a whole number from 0 to 4,294,967,295",
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
    keep_weights: Literal["last", "every"] = Field(
        "last", title="which epochs' weights are kept", description="last or every"
    )
    network: str = Field(
        "mlp",
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        title="which network is trained",
        description="the name of a network",
        exclude_if=lambda name: name == "mlp",
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

    @model_validator(mode="after")
    def _check_together(self) -> "RunConfig":
        own = self.source_sha256 is not None
        if own and (self.parameter is not None or not activations.is_own_name(self.activation)):
            raise InputError(
                f"source_sha256 must be left out for the activation {self.activation!r}: it is "
                f"for a user's own function, which has a name of its own and no parameter."
            )
        if self.momentum and self.optimizer != "sgd":
            raise InputError(f"momentum must be 0 unless optimizer is sgd, not {self.momentum}.")
        if self.weights > MOST_WEIGHTS:
            raise InputError(
                f"hidden must give a network of at most {MOST_WEIGHTS:,} weights, "
                f"not {self.weights:,} as {self.hidden} does."
            )
        return self

    @property
    def size(self) -> str:
        """The network in short: for the textbook's, the units of every layer, 784-512-512-10."""
        if self.network != "mlp":
            return self.network
        arrays = mlp(self.hidden).arrays
        units = (arrays[0].shape[0], *(array.shape[0] for array in arrays if array.first == 0.0))
        return "-".join(map(str, units))

    @property
    def weights(self) -> int:
        """How many numbers are trained, kernels and biases (669,706 in the textbook's network)."""
        return mlp(self.hidden).parameters

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
