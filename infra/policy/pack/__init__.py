"""The policy pack that `pulumi preview --policy-pack infra/policy/pack` runs."""
