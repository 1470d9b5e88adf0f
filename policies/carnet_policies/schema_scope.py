"""The schema of what a demand is asked of: labels that are declared, and ``when``.

Invariant: a policy selects only by labels that it declares, each with all of its values, so that leaving a
label out, and misspelling one, cannot take a version out of a demand. See ``scope`` for what that means.
"""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from carnet_policies.schema_fields import Name, NamespacePattern, Part, Text, Texts


class LabelDeclaration(Part):
    """A label of the manifest that demands select by.

    Attributes:
        values: Every value that it can have, from the least demanding to the most where that matters.
        default: What a manifest without it counts as; without a default the label is mandatory.
        required_in: Namespaces in which it is mandatory although there is a default.
        never_below_baseline: Whether a value that stands before the baseline's is refused.
    """

    values: Texts
    default: Text | None = None
    required_in: tuple[NamespacePattern, ...] = ()
    never_below_baseline: bool = False

    @model_validator(mode="after")
    def _default_is_a_value(self) -> Self:
        if self.default is not None and self.default not in self.values:
            raise ValueError(f"the default {self.default!r} is none of the values {', '.join(self.values)}")
        return self


class When(Part):
    """What a demand is asked of: versions to which every criterion here applies.

    Attributes:
        labels: Values of labels, one of which the manifest has.
        namespaces: Patterns, one of which the target's namespace fits.
        aliases: The alias that is to be moved is one of these.
        sources: The environment that the version comes from is one of these.
    """

    labels: dict[str, Texts] = Field(default_factory=dict, max_length=20)
    namespaces: tuple[NamespacePattern, ...] = ()
    aliases: tuple[Name, ...] = ()
    sources: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.labels or self.namespaces or self.aliases or self.sources):
            raise ValueError(
                "selects by nothing: name labels, namespaces, aliases or sources, or leave it out"
            )
        return self
