"""Training a model, publishing it in dev, and measuring it on rows that its training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from carnet_server.demo.evaluation import evaluate
from carnet_server.demo.scene import MODEL
from carnet_server.demo.training import train_bundle

if TYPE_CHECKING:
    from carnet_server.demo.scene import Scene
    from carnet_server.demo.training import Recipe


def publish(scene: Scene, recipe: Recipe, title: str) -> int:
    """Train a model and publish it.

    Args:
        scene: Where the story is told.
        recipe: How it is trained.
        title: What it is, for the step's title.

    Returns:
        Its version.
    """
    teller = scene.teller
    teller.step(f"Train {title} and publish it in dev")
    bundle = train_bundle(recipe, scene.work / f"bundle-{recipe.title.replace(' ', '-')}")
    with scene.acting_as("ci") as ci:
        pushed = ci.push(f"dev/{MODEL}", bundle)
    teller.say(f"Trained a {recipe.title}.")
    teller.say(f"Published {pushed.reference}, {pushed.size_bytes:,} bytes, signed by ci.")
    teller.say(f"Bundle digest {pushed.bundle_digest}")
    return pushed.reference.version


def attest_evaluation(scene: Scene, version: int) -> None:
    """Have the evaluator measure a version, and attest what it found."""
    with scene.acting_as("evaluator") as evaluator:
        pulled = evaluator.pull(f"dev/{MODEL}@{version}", scene.work / f"evaluated-{version}")
        document = evaluate(pulled.path)
        evaluator.attest(f"dev/{MODEL}@{version}", document)
    shown = {metric["name"]: metric["value"] for metric in document["metrics"] if "slice" not in metric}
    figures = ", ".join(f"{name} {value:.4f}" for name, value in shown.items())
    scene.teller.say(
        f"The evaluator pulled and verified it, measured {figures} on held-out rows, and attested it."
    )
