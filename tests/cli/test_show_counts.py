"""The shipped recipes: each resolves in each profile, and at the paper's sizes has the published counts."""

from __future__ import annotations

import pytest
from harness import call

from ganbench.recipes import RecipeBook

RECIPES = (
    "acgan",
    "biggan",
    "dcgan",
    "lsgan",
    "sagan",
    "sagan-biggan-schedule",
    "sngan",
    "sngan-projection",
    "wgan-gp",
)


def counts(*arguments: str) -> tuple[int, int]:
    end = call("show", *arguments, "--json")
    assert end.code == 0, end.err
    found = end.json["parameters"]
    return found["generator"], found["discriminator"]


@pytest.mark.parametrize(
    ("arguments", "g", "d"),
    [
        (("sagan", "--attention-at", "64"), 42_017_412, 39_448_258),
        (("sagan", "--attention", "none"), 41_996_931, 39_443_137),
        (("sagan",), 42_078_852, 39_463_618),
        (("sagan-biggan-schedule",), 42_017_412, 39_448_258),
        (("sngan",), 32_150_787, 29_017_857),
        (("sngan-projection",), 41_996_931, 30_041_857),
        (("biggan",), 70_433_988, 87_982_370),
        (("dcgan",), 3_576_704, 2_765_568),
        (("lsgan",), 3_576_704, 2_765_568),
    ],
)
def test_show_prints_the_published_counts_at_the_papers_size(arguments: tuple[str, ...], g: int, d: int) -> None:
    model, *rest = arguments
    assert counts("--model", model, "--profile", "paper", *rest) == (g, d)


@pytest.mark.parametrize(
    ("model", "g", "d"),
    [
        ("sngan", 4_276_739, 1_053_824),
        ("sngan-projection", 4_304_387, 1_055_104),
        ("wgan-gp", 1_204_483, 1_053_825),
    ],
)
def test_show_prints_the_published_counts_on_cifar10(model: str, g: int, d: int) -> None:
    assert counts("--model", model, "--profile", "cifar10") == (g, d)


def test_the_standard_cnn_of_sngan_is_an_architecture_of_its_recipe() -> None:
    found = counts("--model", "sngan", "--profile", "cifar10", "--architecture", "sngan-cnn")
    assert found == (3_812_355, 2_935_873)


def test_these_are_all_the_recipes() -> None:
    assert set(RECIPES) <= set(RecipeBook().recipe_names)


@pytest.mark.parametrize("profile", ["quick", "cifar10", "paper"])
@pytest.mark.parametrize("model", RECIPES)
def test_every_recipe_resolves_in_every_profile(model: str, profile: str) -> None:
    end = call("show", "--model", model, "--profile", profile, "--json")
    assert end.code == 0, end.err
    spec = end.json["spec"]
    assert spec["model"] == model
    assert all(count > 0 for count in end.json["parameters"].values())
    if profile == "quick":
        assert (spec["resolution"], spec["dataset"]["name"]) == (32, "digits")
        assert end.json["run_id"] is not None
        assert max(end.json["parameters"].values()) < 1_000_000


@pytest.mark.parametrize("model", RECIPES)
def test_every_recipe_names_its_source(model: str) -> None:
    text = RecipeBook().recipe(model).path.read_text()
    comment = text.split("description", 1)[0]
    assert comment.startswith("#")
    assert "arXiv" in comment


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("biggan", "--latent-dim", "126"), "multiple of 4, such as 80"),
        (("biggan", "--conditioning", "none", "--norm-g", "batch"), "set --conditioning projection (as published)"),
        (("biggan", "--resolution", "256", "--set", "evaluation.extractor=none-such"), "it has 32, 64, 128"),
        (("sngan", "--architecture", "sngan-cnn", "--resolution", "64"), "it has 32"),
        (("sngan", "--norm-d", "self-modulated"), "use it as --norm-g"),
        (("sngan", "--norm-g", "group", "--set", "generator.norm.groups=48"), "into groups=48"),
        (("sngan", "--conditioning", "acgan", "--num-classes", "0"), "conditioning 'acgan' needs classes"),
        (("sngan", "--conditioning", "auxiliary"), "'none', 'projection', 'acgan' or 'concat'"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(arguments: tuple[str, ...], says: str) -> None:
    model, *rest = arguments
    end = call("show", "--model", model, *rest)
    assert end.code == 2
    assert says in end.err
