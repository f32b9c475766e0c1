"""What a GraphQL document asks for, added up before any of it is done: how much, how deep, and which permissions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from graphql.execution.values import VariableValues, get_argument_values

#: Fields that one answer may hold; a page of REST has 600.
MOST_FIELDS = 5_000
#: Fields inside of fields.
MOST_DEPTH = 6
#: Statements that one answer may take, but for a row that a replica does not have yet.
MOST_READS = 10
#: Words and signs of one document.
MOST_TOKENS = 1_000


@dataclass(frozen=True)
class Demand:
    """What a selection asks for.

    Attributes:
        fields: how many fields the answer holds at most.
        depth: how many of them are inside of one another.
        needs: permissions.
        reads: how often a service is asked; what is asked for many rows at once counts once.
    """

    fields: int = 0
    depth: int = 0
    needs: frozenset[str] = frozenset()
    reads: int = 0

    def and_also(self, other: "Demand") -> "Demand":
        """Return what both ask for side by side."""
        return Demand(
            self.fields + other.fields,
            max(self.depth, other.depth),
            self.needs | other.needs,
            self.reads + other.reads,
        )


class Measure:
    """Adds up. A field below an argument `limit` counts that many times; what begins with `__` counts once.

    Args:
        schema: the types.
        fragments: of the document, which is valid: they do not contain themselves.
        variables: their values.
        needs: `Type.field` -> permission. Where an operation begins, a field without one is an error of ours.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: VariableValues,
        needs: Mapping[str, str],
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        self._needs = needs
        self._known: dict[str, Demand] = {}

    def of(self, operation: OperationDefinitionNode) -> Demand:
        """Return what an operation asks for."""
        root = cast("GraphQLObjectType", self._schema.get_root_type(operation.operation))
        return self._selected(root, operation.selection_set)

    def _selected(self, parent: GraphQLCompositeType, selections: SelectionSetNode) -> Demand:
        total = Demand()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                total = total.and_also(self._field(parent, node))
            elif isinstance(node, FragmentSpreadNode):
                total = total.and_also(self._fragment(node.name.value))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inside = parent if condition is None else self._composite(condition.name.value)
                total = total.and_also(self._selected(inside, node.selection_set))
        return total

    def _fragment(self, name: str) -> Demand:
        # Measured once each: fragments that spread fragments twice would otherwise double with each step.
        if name not in self._known:
            found = self._fragments[name]
            self._known[name] = self._selected(self._composite(found.type_condition.name.value), found.selection_set)
        return self._known[name]

    def _field(self, parent: GraphQLCompositeType, node: FieldNode) -> Demand:
        name = node.name.value
        if name.startswith("__"):
            return Demand(fields=1, depth=1)  # how deep questions about the schema may go, graphql-core limits itself
        definition = cast("GraphQLObjectType | GraphQLInterfaceType", parent).fields[name]
        arguments = get_argument_values(definition, node, self._variables)
        inside = Demand()
        if node.selection_set is not None:
            inside = self._selected(cast("GraphQLCompositeType", get_named_type(definition.type)), node.selection_set)
        where = f"{parent.name}.{name}"
        door = parent in {self._schema.query_type, self._schema.mutation_type}
        own = self._needs[where] if door else self._needs.get(where)
        return Demand(
            fields=1 + inside.fields * max(int(arguments.get("limit", 1)), 0),
            depth=1 + inside.depth,
            needs=inside.needs | ({own} if own else set()),
            reads=inside.reads + (1 if own else 0),
        )

    def _composite(self, name: str) -> GraphQLCompositeType:
        return cast("GraphQLCompositeType", self._schema.type_map[name])
