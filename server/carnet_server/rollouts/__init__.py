"""Rollouts: a champion and a challenger side by side, under the policy's guardrails."""
