"""torch-fidelity's other extractors, by their names there; none is Inception, and their scores say so.

All that torch-fidelity 0.4.0 registers are here: VGG16 and CLIP as it constructs them from a file, and DINOv2,
which it can only have from torch.hub, code included, with its network in
:mod:`ganbench.zoo.extractor.dinov2_network`. ``inception-v3-compat`` is the extractor ``inception``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ganbench.api import ExtractorCard, WeightFile, extracts, published_weights

if TYPE_CHECKING:
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

Component = Callable[[WeightFile], "FeatureExtractorBase"]


def _component(name: str, what: str) -> Component:
    """torch-fidelity's extractor of that name, as a component; imported on use."""

    def component(weights: WeightFile) -> FeatureExtractorBase:
        from ganbench.zoo.extractor.torch_fidelity_networks import load

        return load(name, weights)

    component.__name__ = component.__qualname__ = name
    component.__doc__ = f"{what}, as torch-fidelity has it: the layer that its distances read by default."
    card = ExtractorCard(
        weights_sha256="",
        resize="TensorFlow 1 bilinear, to the size that the network takes",
        resolutions=None,
        inception=False,
        weights=published_weights(name),
    )
    return extracts(card)(component)


vgg16 = _component("vgg16", "VGG16, trained on ImageNet")
clip_rn50 = _component("clip-rn50", "The image encoder of CLIP RN50")
clip_rn101 = _component("clip-rn101", "The image encoder of CLIP RN101")
clip_rn50x4 = _component("clip-rn50x4", "The image encoder of CLIP RN50x4")
clip_rn50x16 = _component("clip-rn50x16", "The image encoder of CLIP RN50x16")
clip_rn50x64 = _component("clip-rn50x64", "The image encoder of CLIP RN50x64")
clip_vit_b_32 = _component("clip-vit-b-32", "The image encoder of CLIP ViT-B/32")
clip_vit_b_16 = _component("clip-vit-b-16", "The image encoder of CLIP ViT-B/16")
clip_vit_l_14 = _component("clip-vit-l-14", "The image encoder of CLIP ViT-L/14")
clip_vit_l_14_336px = _component("clip-vit-l-14-336px", "The image encoder of CLIP ViT-L/14 at 336 px")
dinov2_vit_s_14 = _component("dinov2-vit-s-14", "DINOv2 ViT-S/14")
dinov2_vit_b_14 = _component("dinov2-vit-b-14", "DINOv2 ViT-B/14")
dinov2_vit_l_14 = _component("dinov2-vit-l-14", "DINOv2 ViT-L/14")
dinov2_vit_g_14 = _component("dinov2-vit-g-14", "DINOv2 ViT-g/14")
