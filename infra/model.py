"""What every model of settings is."""

from typing import Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

#: Frozen; keys in camel case, as Pulumi writes them; a key that nothing reads is an error.
MODEL: Final = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)
